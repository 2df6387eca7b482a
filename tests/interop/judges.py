#!/usr/bin/env python3
"""Other judges over the same zones and hosts: Debian's unbound for DNSSEC, Postfix' posttls-finger for DANE, PyPI's
postfix-mta-sts-resolver for MTA-STS.

usage: judges.py WORLD.json     (written by `cargo test --test it -- --ignored judge`, which also runs this)
Needs root: unbound listens on port 53 of an address of its own, because libresolv knows no other port, and
/etc/resolv.conf is replaced in a mount namespace of our own. Loopback only.
Prints one line a check and `# N checks` at the end; ends non-zero if a judge disagrees without being expected to.
"""
import json, os, pathlib, random, re, shutil, socket, struct, subprocess, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor

TYPES = {"A": 1, "MX": 15, "TXT": 16, "TLSA": 52}
# Where Postfix is known to judge otherwise, and how; docs/ZOO.md says why.
EXPECTED = {
    # Postfix' default, smtp_tls_dane_insecure_mx_policy=dane, sends to a host that anybody may have chosen, and logs "trusted".
    "insecure-mx.example": "trusted",
    "insecure-mx-webpki.example": "trusted",
}

# The client of RFC 8461.
STS_CLIENT = ["postfix-mta-sts-resolver==1.5.1"]
# Where it is known to judge otherwise, and how: verdict and mode.
STS_EXPECTED = {
    "sts-bad-txt.example": ("policy", "enforce"),
    "sts-long-age.example": ("error", None),
    "sts-two-modes.example": ("policy", "none"),
}


def ask(server, name, kind):
    """(RCODE, AD, number of answers) of one question with DO set, by TCP."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.strip(".").split(".")) + b"\0"
    edns = b"\0" + struct.pack("!HHIH", 41, 1232, 0x8000, 0)
    query = struct.pack("!HHHHHH", random.randrange(65536), 0x0100, 1, 0, 0, 1) + question + struct.pack("!HH", TYPES[kind], 1) + edns
    with socket.create_connection((server, 53), timeout=60) as stream:
        stream.sendall(struct.pack("!H", len(query)) + query)
        reply = b""
        while len(reply) < 2 or len(reply) < 2 + struct.unpack("!H", reply[:2])[0]:
            part = stream.recv(65536)
            if not part: raise SystemExit("unbound closed the connection")
            reply += part
    _, flags, _, answers, _, _ = struct.unpack("!HHHHHH", reply[2:14])
    return flags & 15, bool(flags & 0x20), answers


def dns_verdict(server, name, kind):
    code, is_authentic, _ = ask(server, name, kind)
    if code == 2: return "fails"
    if code not in (0, 3): return f"rcode {code}"
    return "secure" if is_authentic else "insecure"


def dane_verdict(domain, port, folder):
    """What Postfix makes of a domain, in our words, and what it said."""
    command = ["posttls-finger", "-t", "10", "-T", "10", "-l", "dane-only", "-L", "summary,certmatch", f"{domain}:{port}"]
    env = {**os.environ, "MAIL_CONFIG": str(folder)}
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    said = run.stdout + run.stderr
    for verdict, signs in [
        ("verified", ["Verified TLS connection established"]),
        ("trusted", ["Trusted TLS connection established"]),
        ("unknown", ["TLSA lookup error", "try again"]),
        ("none", ["no TLSA records found"]),
        ("violated", ["no matching DANE TLSA records", "hostname mismatch", "certificate has expired", "STARTTLS rejected"]),
    ]:
        if any(sign in said for sign in signs): return verdict, said
    if "> EHLO" in said and "> STARTTLS" not in said: return "violated", said
    return "something else", said


def sts_python(folder):
    """A Python that has the client of RFC 8461, or nothing and why. Kept between runs."""
    python = folder / "bin" / "python"
    try:
        if not python.exists(): subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True, text=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *STS_CLIENT]
        subprocess.run(install, check=True, capture_output=True, text=True, timeout=300)
        return python, ""
    except (OSError, subprocess.SubprocessError) as error:
        return None, (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]


def sts_verdicts(python, world):
    """What the client makes of each domain, in our words."""
    client = pathlib.Path(__file__).with_name("sts_client.py")
    domains = json.dumps([policy["domain"] for policy in world["policies"]])
    env = {**os.environ, "SSL_CERT_FILE": world["ca"]}
    run = subprocess.run([python, client, str(world["sts_port"])], input=domains, capture_output=True, text=True, timeout=600, env=env)
    if run.returncode: raise SystemExit(run.stderr)
    return json.loads(run.stdout), run.stderr


def sts_agrees(ours, found):
    """The same verdict; of a policy the same id, mode, hosts and life. With mode `none` the hosts say nothing."""
    if ours["verdict"] != "policy" or found["verdict"] != "policy": return ours["verdict"] == found["verdict"]
    what = ["id", "mode", "max_age"] + ([] if ours["mode"] == "none" else ["mx"])
    return all(ours[key] == found[key] for key in what)


def unbound(folder, server, world):
    (folder / "root.key").write_text(world["anchor"])
    (folder / "unbound.conf").write_text(f"""
server:
    interface: {server}
    port: 53
    access-control: 127.0.0.0/8 allow
    do-ip6: no
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "{folder}"
    pidfile: ""
    use-syslog: no
    verbosity: 1
    module-config: "validator iterator"
    trust-anchor-file: "{folder}/root.key"
    do-not-query-localhost: no
    num-threads: 1
    val-log-level: 2
    infra-host-ttl: 1
remote-control:
    control-enable: no
forward-zone:
    name: "."
    forward-addr: {world["resolver"].replace(":", "@")}
""")
    log = open(folder / "unbound.log", "w")
    process = subprocess.Popen(["unbound", "-d", "-c", str(folder / "unbound.conf")], stdout=log, stderr=log)
    for _ in range(100):
        try:
            if ask(server, "example", "TXT")[0] == 0: return process
        except OSError:
            pass
        if process.poll() is not None: break
        time.sleep(0.1)
    print((folder / "unbound.log").read_text())
    raise SystemExit("unbound did not start")


def main(path):
    world = json.loads(pathlib.Path(path).read_text())
    for program in ("unbound", "posttls-finger"):
        if not shutil.which(program): raise SystemExit(f"{program} is not installed")
    # Before /etc/resolv.conf knows only the zoo.
    python, why_not = sts_python(pathlib.Path(world["sts_venv"]))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="judges-"))
    os.chmod(folder, 0o755)
    server = f"127.{random.randrange(129, 250)}.{random.randrange(250)}.53"
    resolver = unbound(folder, server, world)
    checks = wrong = 0
    try:
        (folder / "resolv.conf").write_text(f"nameserver {server}\noptions edns0 trust-ad timeout:10\n")
        subprocess.run(["mount", "--bind", folder / "resolv.conf", "/etc/resolv.conf"], check=True)
        (folder / "main.cf").write_text(f"compatibility_level = 3.6\nmyhostname = judge.example\nsmtp_tls_CAfile = {world['ca']}\nsmtp_dns_support_level = dnssec\n")
        (folder / "master.cf").write_text("")
        (folder / "dynamicmaps.cf").write_text("")
        with ThreadPoolExecutor(4) as pool:
            asked = pool.map(lambda q: dns_verdict(server, q["name"], q["type"]), world["questions"])
            for question, found in zip(world["questions"], asked):
                checks += 1
                ok = found == question["ours"]
                wrong += not ok
                print(f"{'ok' if ok else 'not ok'} unbound {question['name']} {question['type']}: {found}, ours {question['ours']}")
            judged = pool.map(lambda a: dane_verdict(a["domain"], world["mx_port"], folder), world["animals"])
            for animal, (found, said) in zip(world["animals"], judged):
                checks += 1
                expected = EXPECTED.get(animal["domain"], animal["dane"])
                ok = found == expected
                wrong += not ok
                note = "" if expected == animal["dane"] else " (known to differ)"
                print(f"{'ok' if ok else 'not ok'} posttls-finger {animal['domain']}: {found}, ours {animal['dane']}{note}", flush=True)
                if not ok or os.environ.get("JUDGES_VERBOSE"): print("\n".join("    " + line for line in said.splitlines()))
        if not python:
            print(f"# skipped: postfix-mta-sts-resolver cannot be installed ({why_not}); MTA-STS has no other judge here")
        else:
            found, said = sts_verdicts(python, world)
            for policy in world["policies"]:
                checks += 1
                domain = policy.pop("domain")
                theirs = found[domain]
                expected = STS_EXPECTED.get(domain)
                ok = (theirs["verdict"], theirs.get("mode")) == expected if expected else sts_agrees(policy, theirs)
                wrong += not ok
                note = " (known to differ)" if expected else ""
                print(f"{'ok' if ok else 'not ok'} mta-sts-resolver {domain}: {theirs}, ours {policy}{note}")
                if not ok: print("\n".join("    " + line for line in said.splitlines() if domain in line))
    finally:
        resolver.terminate()
        resolver.wait(20)
        subprocess.run(["umount", "/etc/resolv.conf"], check=False)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"# {checks} checks")
    if wrong: raise SystemExit(f"{wrong} disagreements")


if os.environ.get("JUDGES_INSIDE"):
    main(sys.argv[1])
else:
    os.environ["JUDGES_INSIDE"] = "1"
    # A mount namespace of our own, so that nobody else sees another resolv.conf.
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, os.path.abspath(__file__), *sys.argv[1:]])
