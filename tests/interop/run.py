#!/usr/bin/env python3
"""Real clients against the real program: each sends one message, and the decision log must say it was delivered.

usage: run.py WARDPOST NPM_FOLDER     (NPM_FOLDER/node_modules holds nodemailer)
Loopback only. Prints one line a check and `# N checks` at the end; ends non-zero at the first failure.
"""
import json, os, pathlib, re, signal, smtplib, ssl, subprocess, sys, tempfile, time

WARDPOST, NPM = sys.argv[1], sys.argv[2]
USER = "ann@practice.example"
TO = "pat@verified.example"
done = 0


class Demo:
    """`wardpost demo`, with what it prints read back."""

    def __init__(self):
        env = {**os.environ, "WARDPOST_LOG": "error"}
        self.process = subprocess.Popen([WARDPOST, "demo"], stdout=subprocess.PIPE, text=True, env=env)
        self.ports, self.config, password = {}, None, None
        for line in self.process.stdout:
            if m := re.search(r"Configuration: (\S+)", line): self.config = m[1]
            if m := re.match(r"  (relay|submission|submissions|portal|metrics)\s+127\.0\.0\.1:(\d+)", line): self.ports[m[1]] = int(m[2])
            if m := re.search(r"Its password: written to (\S+)", line): password = m[1]
            if line.startswith("Ctrl-C"): break
        if not (self.config and password and len(self.ports) == 5):
            raise SystemExit("the demo did not start as expected")
        self.password = pathlib.Path(password).read_text().strip()
        os.unlink(password)
        self.ca = str(pathlib.Path(self.config).parent / "keys" / "throw-away.pem")

    def fate(self, message_id):
        """Events of a message, once one of them says where it is."""
        for _ in range(100):
            out = subprocess.run([WARDPOST, "audit", "show", message_id, "--json", "--config", self.config], capture_output=True, text=True)
            events = [json.loads(line)["event"] for line in out.stdout.splitlines()]
            if {"delivered", "escrowed", "bounced"} & set(events): return events
            time.sleep(0.1)
        return []

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def check(name, ok, detail=""):
    global done
    if not ok:
        print(f"not ok {name} {detail}")
        raise SystemExit(1)
    done += 1
    print(f"ok {name}", flush=True)


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, **options)


def text(message_id):
    return (f"From: Ann <{USER}>\r\nTo: Pat <{TO}>\r\nSubject: interop\r\nMessage-ID: <{message_id}>\r\n"
            "Date: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\n.one dot\r\nthe office is closed on Thursday\r\n")


def arrived(demo, name, message_id, result=None):
    detail = f"{result.returncode} {result.stdout[-800:]} {result.stderr[-800:]}" if result else ""
    check(name, "delivered" in demo.fate(message_id), detail)


def swaks(demo):
    forms = [("PLAIN", "submissions", "--tls-on-connect"), ("LOGIN", "submissions", "--tls-on-connect"), ("PLAIN", "submission", "--tls"), ("LOGIN", "submission", "--tls")]
    for auth, port, tls in forms:
        mid = f"swaks-{auth}-{port}@practice.example"
        r = run("swaks", "--server", "127.0.0.1", "--port", demo.ports[port], tls, "--auth", auth, "--auth-user", USER, "--auth-password", demo.password,
                "--from", USER, "--to", TO, "--data", text(mid).replace("\r\n", "\n"), "--ehlo", "desk.practice.example")
        arrived(demo, f"swaks {auth} {port}", mid, r)
    r = run("swaks", "--server", "127.0.0.1", "--port", demo.ports["submission"], "--auth", "PLAIN", "--auth-user", USER, "--auth-password", demo.password, "--from", USER, "--to", TO)
    check("swaks: no AUTH in clear", r.returncode != 0)
    r = run("swaks", "--server", "127.0.0.1", "--port", demo.ports["submissions"], "--tls-on-connect", "--auth", "PLAIN", "--auth-user", USER, "--auth-password", "wrong", "--from", USER, "--to", TO)
    check("swaks: a wrong password is refused", r.returncode != 0 and "535" in r.stdout, r.stdout[-500:])
    r = run("swaks", "--server", "127.0.0.1", "--port", demo.ports["submissions"], "--tls-on-connect", "--from", USER, "--to", TO)
    check("swaks: no relay without AUTH", r.returncode != 0 and ("530" in r.stdout or "550" in r.stdout), r.stdout[-500:])
    r = run("swaks", "--server", "127.0.0.1", "--port", demo.ports["submissions"], "--tls-on-connect", "--auth", "PLAIN", "--auth-user", USER, "--auth-password", demo.password,
            "--from", "boss@practice.example", "--to", TO)
    check("swaks: another sender is refused", r.returncode != 0 and "550" in r.stdout, r.stdout[-500:])


def python(demo):
    context = ssl.create_default_context(cafile=demo.ca)
    for port, implicit in (("submissions", True), ("submission", False)):
        mid = f"smtplib-{port}@practice.example"
        client = smtplib.SMTP_SSL("localhost", demo.ports[port], context=context) if implicit else smtplib.SMTP("localhost", demo.ports[port])
        with client:
            if not implicit: client.starttls(context=context)
            client.login(USER, demo.password)
            client.sendmail(USER, [TO], text(mid).encode())
        arrived(demo, f"smtplib {port}", mid)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        only = ssl.create_default_context(cafile=demo.ca)
        only.minimum_version = only.maximum_version = version
        with smtplib.SMTP_SSL("localhost", demo.ports["submissions"], context=only) as client:
            check(f"smtplib {version.name}", client.sock.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version])


def msmtp(demo, folder):
    for auth in ("plain", "login"):
        mid = f"msmtp-{auth}@practice.example"
        r = run("msmtp", "--file=/dev/null", "--host=localhost", f"--port={demo.ports['submissions']}", "--tls=on", "--tls-starttls=off", f"--tls-trust-file={demo.ca}",
                f"--auth={auth}", f"--user={USER}", f"--passwordeval=echo {demo.password}", f"--from={USER}", TO, input=text(mid))
        arrived(demo, f"msmtp {auth}", mid, r)


def curl(demo, folder):
    for scheme, port in (("smtps", "submissions"), ("smtp", "submission")):
        mid = f"curl-{port}@practice.example"
        mail = folder / f"{mid}.eml"
        mail.write_text(text(mid).replace("\r\n", "\n"))
        r = run("curl", "-sS", "--ssl-reqd", "--cacert", demo.ca, "--url", f"{scheme}://localhost:{demo.ports[port]}/desk.practice.example", "--user", f"{USER}:{demo.password}",
                "--mail-from", USER, "--mail-rcpt", TO, "--upload-file", mail, "--crlf")
        arrived(demo, f"curl {port}", mid, r)


def s_nail(demo):
    before = len(run(WARDPOST, "queue", "list", "--all", "--json", "--config", demo.config).stdout.splitlines())
    user = USER.replace("@", "%40")
    r = run("s-nail", "-:/", "-Sv15-compat", "-Ssendwait", f"-Smta=smtps://{user}:{demo.password}@localhost:{demo.ports['submissions']}", "-Ssmtp-auth=login", f"-Sfrom={USER}",
            f"-Stls-ca-file={demo.ca}", "-Stls-ca-no-defaults", "-s", "interop", TO, input="the office is closed\n")
    after = before
    for _ in range(50):
        after = len(run(WARDPOST, "queue", "list", "--all", "--json", "--config", demo.config).stdout.splitlines())
        if after > before: break
        time.sleep(0.1)
    check("s-nail", r.returncode == 0 and after > before, r.stderr[-500:])


def nodemailer(demo):
    for port, secure in (("submissions", "true"), ("submission", "false")):
        mid = f"nodemailer-{port}@practice.example"
        script = f"""
const nodemailer = require({json.dumps(NPM + '/node_modules/nodemailer')}), fs = require('fs');
const transport = nodemailer.createTransport({{ host: 'localhost', port: {demo.ports[port]}, secure: {secure}, requireTLS: true,
  auth: {{ user: {json.dumps(USER)}, pass: {json.dumps(demo.password)} }}, tls: {{ ca: fs.readFileSync({json.dumps(demo.ca)}) }} }});
transport.sendMail({{ from: {json.dumps(USER)}, to: {json.dumps(TO)}, subject: 'interop', messageId: '<{mid}>', text: 'closed on Thursday', html: '<p>closed on <b>Thursday</b></p>' }})
  .then(() => process.exit(0), error => {{ console.error(error); process.exit(1); }});
"""
        arrived(demo, f"nodemailer {port}", mid, run("node", "-e", script))


def postfix(demo, folder):
    """Postfix as a practice's mail server: the gateway is its relayhost, with SASL over verified TLS."""
    for name in ("conf", "queue", "data"): (folder / name).mkdir()
    run("chown", "postfix", folder / "data"); os.chmod(folder, 0o755)
    (folder / "conf/password").write_text(f"[localhost]:{demo.ports['submission']} {USER}:{demo.password}\n")
    run("postmap", f"texthash:{folder}/conf/password")
    port = 20000 + os.getpid() % 20000
    (folder / "conf/main.cf").write_text(f"""compatibility_level = 3.6
queue_directory = {folder}/queue
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/maillog
maillog_file_prefixes = /tmp, /var
myhostname = mail.practice.example
mydestination =
local_recipient_maps =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps =
relayhost = [localhost]:{demo.ports['submission']}
smtp_host_lookup = native
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = nexthop
smtp_tls_CAfile = {demo.ca}
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:{folder}/conf/password
smtp_sasl_security_options = noanonymous
""")
    services = "pickup:unix:n:60:1 cleanup:unix:n::0 qmgr:unix:n:300:1 tlsmgr:unix:-:1000?:1 rewrite:unix:-:::trivial-rewrite bounce:unix:-::0 defer:unix:-::0:bounce trace:unix:-::0:bounce smtp:unix:- error:unix:- retry:unix:-:::error anvil:unix:-::1 scache:unix:-::1 proxymap:unix:-"
    lines = [f"127.0.0.1:{port} inet n - n - - smtpd"]
    for service in services.split():
        name, kind, private, wake, most, program = (service.split(":") + [""] * 5)[:6]
        lines.append(f"{name} {kind} {private} - n {wake or '-'} {most or '-'} {program or name}")
    lines.append("postlog unix-dgram n - n - 1 postlogd")
    (folder / "conf/master.cf").write_text("\n".join(lines) + "\n")
    server = subprocess.Popen(["postfix", "-c", str(folder / "conf"), "start-fg"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        mid = "postfix@practice.example"
        for _ in range(100):
            try:
                with smtplib.SMTP("127.0.0.1", port, timeout=5) as client: client.sendmail(USER, [TO], text(mid).encode())
                break
            except OSError: time.sleep(0.1)
        log = folder / "maillog"
        arrived(demo, "postfix as relaying server", mid)
        check("postfix verified our certificate", "Verified TLS connection established" in log.read_text() or "status=sent" in log.read_text(), log.read_text()[-1500:])
    finally:
        run("postfix", "-c", folder / "conf", "stop")
        server.wait(20)


def certificate(demo, folder):
    """A server that proves itself by a certificate of the gateway's own authority, and by nothing else."""
    issue = ("certs", "issue", "office", "--send-as", "@practice.example", "--folder", folder)
    r = run(WARDPOST, *issue, "--config", demo.config)
    check("certs issue", r.returncode == 0 and (folder / "office.key").stat().st_mode & 0o777 == 0o600, r.stdout + r.stderr)
    demo.process.send_signal(signal.SIGHUP)
    context = ssl.create_default_context(cafile=demo.ca)
    context.load_cert_chain(folder / "office.pem", folder / "office.key")
    mid = "certificate@practice.example"
    for attempt in range(100):
        # The reload takes effect for new connections.
        with smtplib.SMTP("localhost", demo.ports["relay"]) as client:
            client.starttls(context=context)
            client.ehlo()
            if "EXTERNAL" in client.esmtp_features.get("auth", ""): break
        time.sleep(0.1)
    with smtplib.SMTP("localhost", demo.ports["relay"]) as client:
        client.starttls(context=context)
        client.sendmail(USER, [TO], text(mid).encode())
    arrived(demo, "a client certificate relays", mid)
    # swaks knows no EXTERNAL, curl and msmtp do.
    mid = "msmtp-external@practice.example"
    r = run("msmtp", "--file=/dev/null", "--host=localhost", f"--port={demo.ports['submissions']}", "--tls=on", "--tls-starttls=off", f"--tls-trust-file={demo.ca}",
            f"--tls-cert-file={folder / 'office.pem'}", f"--tls-key-file={folder / 'office.key'}", "--auth=external", "--user=office", f"--from={USER}", TO, input=text(mid))
    arrived(demo, "msmtp external", mid, r)
    r = run(WARDPOST, "certs", "list", "--json", "--config", demo.config)
    check("certs list shows the use", json.loads(r.stdout)["last_peer"] == "127.0.0.1", r.stdout + r.stderr)
    r = run(WARDPOST, "certs", "revoke", "office", "--config", demo.config)
    with smtplib.SMTP("localhost", demo.ports["relay"]) as client:
        client.starttls(context=context)
        client.ehlo()
        check("a revoked certificate sends nothing", client.mail(USER)[0] == 550)


def exim(demo, folder):
    """Exim as a practice's mail server, unpacked beside Postfix, with which its package does not go together."""
    for name in ("package", "spool", "log"): (folder / name).mkdir()
    run("apt-get", "download", "exim4-daemon-light", cwd=folder / "package")
    for package in (folder / "package").glob("*.deb"): run("dpkg", "-x", package, folder / "package")
    program = folder / "package/usr/sbin/exim4"
    check("exim is here", program.exists())
    # Debian's build asks for this user before it reads its configuration; the package would make it.
    run("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", "Debian-exim")
    run("chown", "-R", "Debian-exim:Debian-exim", folder / "spool", folder / "log")
    os.chmod(folder, 0o755); os.chmod(folder.parent, 0o755)
    # It delivers as that user, who cannot read the demo's folder.
    (folder / "ca.pem").write_bytes(pathlib.Path(demo.ca).read_bytes())
    conf = folder / "exim.conf"
    conf.write_text(f"""exim_path = {program}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%s
primary_hostname = mail.practice.example
qualify_domain = practice.example
keep_environment =
trusted_users = root
deliver_drop_privilege = true
begin routers
wardpost:
  driver = manualroute
  transport = to_wardpost
  route_list = * localhost byname
  self = send
  no_more
begin transports
to_wardpost:
  driver = smtp
  port = {demo.ports['submission']}
  hosts_require_tls = *
  hosts_require_auth = *
  tls_verify_hosts = *
  tls_verify_certificates = {folder}/ca.pem
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{USER}^{demo.password}
""")
    mid = "exim@practice.example"
    r = run(program, "-C", conf, "-odf", "-i", "-f", USER, TO, input=text(mid).replace("\r\n", "\n"))
    arrived(demo, "exim as relaying server", mid, r)


demo = Demo()
try:
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        swaks(demo); python(demo); msmtp(demo, folder); curl(demo, folder); s_nail(demo); nodemailer(demo); postfix(demo, folder); exim(demo, pathlib.Path(tempfile.mkdtemp(dir=folder))); certificate(demo, folder)
        health = run("curl", "-sS", f"http://127.0.0.1:{demo.ports['metrics']}/ready")
        check("ready", health.stdout == "ready\n", health.stdout)
        metrics = run("curl", "-sS", f"http://127.0.0.1:{demo.ports['metrics']}/metrics").stdout
        check("metrics count decisions", re.search(r'wardpost_policy_decisions_total\{action="deliver",level="verified"\} [1-9]', metrics) is not None)
        check("metrics name no address", "@" not in metrics and "practice.example" not in metrics)
        check("no panic", "wardpost_panics_total 0" in metrics)
finally:
    demo.stop()
print(f"# {done} checks")
