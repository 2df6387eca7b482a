"""The gateway under examination, the host that receives behind it, and a client that judges every reply it reads."""
import base64, hashlib, os, pathlib, re, resource, signal, socket, ssl, subprocess, tempfile, threading, time

USER = "ann@practice.example"
SENDER = f"MAIL FROM:<{USER}>"
FAR = "out.example"
CLIENT_WAIT = 30.0


class Wrong(Exception):
    """The gateway did what it must not do."""


def expect(ok, what):
    if not ok:
        raise Wrong(what)


class Sink:
    """A receiving host with STARTTLS that keeps what it is told and notes what no host should ever be told."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        key, certificate = folder / "sink.key", folder / "sink.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate,
                        "-days", "30", "-subj", "/CN=sink.example", "-addext", "subjectAltName=DNS:sink.example"], check=True, capture_output=True)
        self.pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.messages, self.faults, self.changed = [], [], threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            stream, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    def fault(self, what):
        with self.changed:
            self.faults.append(what)

    def serve(self, stream):
        try:
            self.dialogue(stream)
        except (OSError, ValueError):
            pass

    def dialogue(self, stream):
        pending, in_tls, mail, rcpt = b"", False, b"", []

        def line():
            nonlocal pending
            while b"\n" not in pending:
                more = stream.recv(65536)
                if not more: raise OSError("gone")
                pending += more
            at = pending.index(b"\n") + 1
            out, pending = pending[:at], pending[at:]
            if not out.endswith(b"\r\n") or b"\r" in out[:-2] or b"\0" in out: self.fault(f"a line to the next hop: {out!r}")
            return out[:-2]

        stream.sendall(b"220 sink.example ESMTP\r\n")
        while True:
            command = line()
            verb = command[:4].upper()
            if not in_tls and verb not in (b"EHLO", b"STAR", b"QUIT"): self.fault(f"in clear: {command!r}")
            if verb == b"EHLO":
                offers = [b"PIPELINING", b"8BITMIME", b"SMTPUTF8", b"DSN", b"ENHANCEDSTATUSCODES", b"SIZE 100000000"] + ([] if in_tls else [b"STARTTLS"])
                stream.sendall(b"250-sink.example\r\n" + b"".join(b"250-" + o + b"\r\n" for o in offers) + b"250 HELP\r\n")
            elif verb == b"STAR":
                stream.sendall(b"220 go\r\n")
                stream, in_tls, pending = self.context.wrap_socket(stream, server_side=True), True, b""
            elif verb == b"MAIL":
                mail, rcpt = command, []
                stream.sendall(b"250 2.1.0 ok\r\n")
            elif verb == b"RCPT":
                to = re.search(rb"<(.*)>", command)[1].decode()
                if to.startswith("gone"):
                    stream.sendall(b"550 5.1.1 no such mailbox\r\n")
                    continue
                rcpt.append(to)
                stream.sendall(b"250 2.1.5 ok\r\n")
            elif verb == b"DATA":
                stream.sendall(b"354 go\r\n")
                while not pending.startswith(b".\r\n") and b"\r\n.\r\n" not in pending:
                    more = stream.recv(1 << 20)
                    if not more: raise OSError("gone")
                    pending += more
                content, pending = (b"", pending[3:]) if pending.startswith(b".\r\n") else pending.split(b"\r\n.\r\n", 1)
                content += b"\r\n"
                if re.search(rb"\r(?!\n)|(?<!\r)\n|\0", content): self.fault(f"bare CR, LF or NUL to {rcpt}")
                content = re.sub(rb"(?m)^\.", b"", content)
                with self.changed:
                    self.messages.append((mail.decode(), rcpt, content))
                    self.changed.notify_all()
                stream.sendall(b"250 2.0.0 kept\r\n")
            elif verb == b"QUIT":
                stream.sendall(b"221 bye\r\n")
                return
            else:
                stream.sendall(b"250 ok\r\n")

    def of(self, recipient):
        """(MAIL line, content) of each message for this recipient."""
        with self.changed:
            return [(mail, content) for mail, rcpt, content in self.messages if recipient.lower() in [r.lower() for r in rcpt]]

    def wait(self, recipient, seconds=20):
        until = time.monotonic() + seconds
        with self.changed:
            while True:
                for mail, rcpt, content in self.messages:
                    if recipient.lower() in [r.lower() for r in rcpt]: return mail, content
                left = until - time.monotonic()
                if left <= 0: raise Wrong(f"nothing arrived for {recipient}")
                self.changed.wait(left)


class Gateway:
    """`wardpost serve` with a configuration of its own on loopback."""

    def __init__(self, program, folder, sink, smtp=""):
        self.program, self.folder = str(program), pathlib.Path(folder)
        self.config = self.folder / "wardpost.toml"
        self.config.write_text(f"""[server]
name = "gateway.practice.example"
own_domains = ["practice.example"]
[data]
path = "data"
[keys]
path = "keys"
[smtp]
relay = ["127.0.0.1:0"]
submission = ["127.0.0.1:0"]
submissions = ["127.0.0.1:0"]
{smtp}
[[network]]
name = "hospital"
addresses = ["127.0.0.2/32"]
sender_domains = ["practice.example"]
[[network]]
name = "copier"
addresses = ["127.0.0.3/32"]
sender_domains = ["practice.example"]
tls = "optional"
[dns]
resolver = "127.0.0.1:9"
deadline = "1s"
[[route]]
domains = ["practice.example"]
host = "sink.example"
address = "127.0.0.1"
port = {sink.port}
certificate_sha256 = ["{sink.pin}"]
[next_hop]
host = "sink.example"
address = "127.0.0.1"
port = {sink.port}
certificate_sha256 = ["{sink.pin}"]
[queue]
retry_after = ["250ms"]
[portal]
listen = ["127.0.0.1:0"]
[metrics]
listen = "127.0.0.1:0"
""")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen([self.program, "serve", "--config", str(self.config)], stdout=self.log, stderr=subprocess.STDOUT, env={**os.environ, "WARDPOST_LOG": "info"})
        self.ports = {}
        for _ in range(600):
            text = (self.folder / "log").read_text()
            self.ports = {m[1]: int(m[2]) for m in re.finditer(r"(?m)^  (relay|submission|submissions|portal|metrics)\s+127\.0\.0\.1:(\d+)", text)}
            if len(self.ports) == 5 and self.http("/health").startswith("ok"): break
            if self.process.poll() is not None: raise SystemExit(text)
            time.sleep(0.05)
        self.password = self.add_user(USER)
        self.sources = 0
        self.lock = threading.Lock()
        for _ in range(400):
            if self.http("/ready").startswith("ready"): break
            time.sleep(0.05)

    def run(self, *arguments):
        return subprocess.run([self.program, *map(str, arguments), "--config", str(self.config)], capture_output=True, text=True, timeout=60)

    def add_user(self, name, *more):
        out = self.run("user", "add", name, *more)
        path = re.search(r"written to (\S+)", out.stdout + out.stderr)
        if not path: raise SystemExit(f"user add: {out.stdout}{out.stderr}")
        password = pathlib.Path(path[1]).read_text().strip()
        os.unlink(path[1])
        return password

    def http(self, path):
        try:
            with socket.create_connection(("127.0.0.1", self.ports["metrics"]), 10) as s:
                s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.ports['metrics']}\r\nConnection: close\r\n\r\n".encode())
                whole = b""
                while more := s.recv(65536): whole += more
                return whole.partition(b"\r\n\r\n")[2].decode()
        except (OSError, KeyError):
            return ""

    def metric(self, name):
        found = re.search(rf"(?m)^{re.escape(name)} ([0-9.]+)", self.http("/metrics"))
        return float(found[1]) if found else None

    def rss(self):
        return int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def source(self):
        """A client address nobody has used: limits that count by address do not mix up the cases."""
        with self.lock:
            self.sources += 1
            return f"127.9.{self.sources // 250}.{self.sources % 250 + 1}"

    def dial(self, port="submission", source=None):
        return Client(self, port, source or self.source())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()


def context(**options):
    out = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    out.check_hostname, out.verify_mode = False, ssl.CERT_NONE
    for name, value in options.items(): setattr(out, name, value)
    return out


LEAKS = re.compile(r"/(tmp|work|usr|home|root|var|src)/|\.rs\b|panick|sqlite|rustls|tokio|thread '|unwrap|0x[0-9a-f]{6}|127\.0\.0\.|ZEBRA|sink\.example", re.I)


class Client:
    def __init__(self, gateway, port, source):
        self.gateway, self.source, self.pending, self.in_tls, self.greeted = gateway, source, b"", False, False
        self.stream = socket.create_connection(("127.0.0.1", gateway.ports[port]), CLIENT_WAIT, (source, 0))
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream.settimeout(CLIENT_WAIT)

    def __enter__(self): return self

    def __exit__(self, *_): self.stream.close()

    def tls(self, with_context=None, name="localhost"):
        self.stream = (with_context or context()).wrap_socket(self.stream, server_hostname=name)
        self.in_tls, self.pending = True, b""
        return self

    def send(self, what):
        self.stream.sendall(what if isinstance(what, bytes) else what.encode() + b"\r\n")

    def more(self):
        try:
            return self.stream.recv(65536)
        except (ConnectionError, ssl.SSLError, BrokenPipeError):
            return b""
        except TimeoutError:
            raise Wrong("no reply within 30 s") from None

    def reply(self):
        """The whole next reply, its lines joined by LF; "close" at the end. Its form is judged on the way."""
        lines = []
        while True:
            while b"\n" not in self.pending:
                more = self.more()
                if not more:
                    expect(not self.pending and not lines, f"closed within a reply: {lines} {self.pending!r}")
                    return "close"
                self.pending += more
            at = self.pending.index(b"\n") + 1
            line, self.pending = self.pending[:at], self.pending[at:]
            expect(len(line) <= 512, f"reply line of {len(line)} octets")
            expect(re.fullmatch(rb"[2-5][0-9][0-9][ -][ -~]*\r\n", line), f"reply line is not as RFC 5321 writes it: {line!r}")
            text = line[:-2].decode()
            expect(not lines or text[:3] == lines[0][:3], f"codes differ within a reply: {lines} {text}")
            leak = LEAKS.search(text)
            expect(not leak, f"internals or the client's own text in a reply: {text}")
            enhanced = re.match(r"[2-5]\d\d[ -]([245])\.\d{1,3}\.\d{1,3}( |$)", text)
            expect(not enhanced or enhanced[1] == text[0], f"class of the enhanced code differs: {text}")
            if self.greeted and text[0] in "45": expect(enhanced, f"no enhanced code (RFC 2034): {text}")
            lines.append(text)
            if text[3] == " ": return "\n".join(lines)

    def expect(self, wanted):
        got = self.reply()
        expect(any(got.startswith(w) for w in wanted.split("|")), f"{got!r} instead of {wanted}")
        return got

    def ask(self, what, wanted):
        self.send(what)
        try:
            return self.expect(wanted)
        except Wrong as wrong:
            shown = what if isinstance(what, str) else repr(what)
            raise Wrong(f"{shown[:120]} -> {wrong}") from None

    def ehlo(self):
        self.greeted = False
        got = self.ask("EHLO client.practice.example", "250")
        self.greeted = True
        return got

    def login(self, user=USER, password=None):
        secret = base64.b64encode(f"\0{user}\0{password or self.gateway.password}".encode()).decode()
        self.ask(f"AUTH PLAIN {secret}", "235")
        return self

    def silence(self):
        """Nothing more has been said: a NOOP is answered next."""
        self.ask("NOOP", "250")
        expect(not self.pending, f"more than one reply: {self.pending!r}")


def start(gateway, state, source=None):
    """A client in one of these states."""
    if state == "implicit": return gateway.dial("submissions", source).tls()
    if state == "relay":
        client = gateway.dial("relay", source)
        client.expect("220")
        client.ehlo()
        return client
    if state in ("hospital", "copier"):
        client = gateway.dial("relay", "127.0.0.2" if state == "hospital" else "127.0.0.3")
        client.expect("220")
        client.ehlo()
        if state == "hospital":
            client.ask("STARTTLS", "220")
            client.tls()
            client.ehlo()
        return client
    client = gateway.dial("submission", source)
    if state == "raw": return client
    client.expect("220")
    if state == "fresh": return client
    client.ehlo()
    if state == "clear": return client
    client.ask("STARTTLS", "220")
    client.tls()
    if state == "tls-fresh": return client
    client.ehlo()
    if state == "tls": return client
    client.login()
    if state == "auth": return client
    client.ask(SENDER, "250")
    if state == "mail": return client
    client.ask(f"RCPT TO:<pat@{FAR}>", "250")
    if state == "rcpt": return client
    raise ValueError(state)
