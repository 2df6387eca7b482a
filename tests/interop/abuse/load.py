"""TLS, guessing and floods: (severity, section, name, test)."""
import base64, os, re, socket, ssl, statistics, struct, subprocess, threading, time, warnings
from content import letter, submit, unique
from gateway import FAR, SENDER, USER, Wrong, context, expect, start

warnings.filterwarnings("ignore", category=DeprecationWarning)


def tls(gateway, sink):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        for port in ("submission", "submissions"):
            def old(version=version, port=port):
                asked = context(minimum_version=ssl.TLSVersion.TLSv1, maximum_version=version)
                asked.set_ciphers("ALL:@SECLEVEL=0")
                client = start(gateway, "clear") if port == "submission" else gateway.dial(port)
                with client:
                    if port == "submission": client.ask("STARTTLS", "220")
                    try:
                        client.tls(asked)
                    except (ssl.SSLError, ConnectionError): return
                    raise Wrong(f"{version.name} was spoken")
            yield "high", "RFC 8996", f"{version.name} at {port}", old
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        def new(version=version):
            with start(gateway, "clear") as client:
                client.ask("STARTTLS", "220")
                client.tls(context(minimum_version=version, maximum_version=version)).ehlo()
                expect(client.stream.cipher()[2] >= 128 and "CBC" not in client.stream.cipher()[0], "a weak cipher")
        yield "high", "RFC 9325", f"{version.name} is spoken", new
    for weak in ("AES128-SHA", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256", "ADH-AES128-SHA", "NULL-SHA256"):
        def cipher(weak=weak):
            asked = context(maximum_version=ssl.TLSVersion.TLSv1_2)
            try: asked.set_ciphers(weak + ":@SECLEVEL=0")
            except ssl.SSLError: return
            with gateway.dial("submissions") as client:
                try: client.tls(asked)
                except (ssl.SSLError, ConnectionError): return
                raise Wrong(f"{weak} was spoken")
        yield "high", "RFC 9325 4.2", f"cipher {weak}", cipher
    for name, octets in {"plain EHLO": b"EHLO x\r\n", "HTTP": b"GET / HTTP/1.0\r\n\r\n", "SSLv2": b"\x80\x2e\x01\x00\x02" + bytes(40), "SSLv3": b"\x16\x03\x00\x00\x2f\x01\x00\x00\x2b\x03\x00" + bytes(41), "zeros": bytes(600), "0xff": b"\xff" * 600, "an alert": b"\x15\x03\x03\x00\x02\x02\x28", "a record of 65,535": b"\x16\x03\x01\xff\xff" + bytes(70000), "empty records": b"\x16\x03\x03\x00\x00" * 2000, "a hello without end": b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(16000), "data first": b"\x17\x03\x03\x00\x05NOOP\r"}.items():
        for port in ("submission", "submissions"):
            def bad(octets=octets, port=port):
                client = start(gateway, "clear") if port == "submission" else gateway.dial(port)
                with client:
                    if port == "submission": client.ask("STARTTLS", "220")
                    try:
                        client.send(octets)
                        client.stream.settimeout(2)
                        got = client.stream.recv(4096)
                    except (TimeoutError, ConnectionError): got = b""
                    expect(not re.match(rb"\d\d\d[ -]", got), f"an answer in clear: {got!r}")
                with start(gateway, "clear") as other: other.silence()
            yield "high", "RFC 3207 4", f"{name} for a hello at {port}", bad
    for sni in ("unknown.example", "a" * 63 + ".example", "xn--bcher-kva.example", "localhost.", "127.0.0.1", "-x-.example"):
        def odd(sni=sni):
            with gateway.dial("submissions") as client:
                try: client.tls(name=sni)
                except (ssl.SSLError, ConnectionError, ValueError): return
                client.expect("220")
        yield "low", "RFC 6066 3", f"SNI {sni[:30]}", odd

    def vanish():
        for cut in (1, 5, 50):
            with start(gateway, "clear") as client:
                client.ask("STARTTLS", "220")
                client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[:cut])
        with start(gateway, "auth") as client: client.silence()
    yield "medium", "RFC 3207", "gone within the handshake", vanish

    def renegotiation():
        program = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.ports['submissions']}", "-tls1_2", "-legacy_renegotiation"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        out = b""
        try:
            while b"220 " not in out:
                more = os.read(program.stdout.fileno(), 65536)
                expect(more, f"no greeting: {out[-300:]}")
                out += more
            program.stdin.write(b"R\n")
            program.stdin.flush()
            program.stdout.flush()
            out = program.communicate(timeout=5)[0]
        except subprocess.TimeoutExpired as waited:
            out = waited.stdout or b""
        finally:
            program.kill()
        expect(b"RENEGOTIATING" in out and b"depth=" not in out, f"renegotiated: {out[-300:]}")
    yield "medium", "RFC 9325 3.5", "renegotiation", renegotiation

    def early_talker():
        with socket.create_connection(("127.0.0.1", gateway.ports["submission"]), 10, (gateway.source(), 0)) as s:
            s.sendall(b"EHLO x\r\nNOOP\r\n")
            expect(s.recv(4096)[:3] in (b"220", b"554"), "no greeting")
    yield "low", "RFC 5321 3.1", "talks before the greeting", early_talker

    def offers():
        with start(gateway, "fresh") as client:
            clear = client.ask("EHLO x", "250")
            expect("AUTH" not in clear and "STARTTLS" in clear and "REQUIRETLS" not in clear, clear)
            client.ask("STARTTLS", "220")
            inside = client.tls().ehlo()
            expect("AUTH PLAIN LOGIN" in inside and "STARTTLS" not in inside and "REQUIRETLS" in inside and "EXTERNAL" not in inside, inside)
            after = client.login().ehlo()
            expect("AUTH" not in after, after)
            for word in ("PIPELINING", "SIZE 2097152", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING"): expect(word in clear and word in inside, word)
            expect("VRFY" not in inside and "ETRN" not in inside and "BINARYMIME" not in inside, inside)
    yield "critical", "RFC 4954 4", "what EHLO offers in clear, inside and after AUTH", offers


def guard(gateway, sink):
    def brake():
        source = gateway.source()
        codes = []
        for _ in range(25):
            with start(gateway, "tls", source) as client:
                codes.append(client.ask("AUTH PLAIN " + base64.b64encode(f"\0{USER}\0wrong".encode()).decode(), "535|454|421")[:3])
        expect(codes.index("454") <= 10 if "454" in codes else False, f"{codes}")
        with start(gateway, "auth") as client: client.silence()
    yield "high", "robustness 10", "ten wrong passwords in a row brake, the owner elsewhere is free", brake

    def spray():
        source, codes = gateway.source(), []
        for n in range(30):
            with start(gateway, "tls", source) as client:
                codes.append(client.ask("AUTH PLAIN " + base64.b64encode(f"\0user{n}\0wrong".encode()).decode(), "535|454|421")[:3])
        expect(codes.count("535") <= 20, f"{codes.count('535')} tries from one address")
    yield "high", "robustness 10", "twenty tries a minute from one address", spray

    def session():
        with start(gateway, "tls") as client:
            for n in range(12):
                client.send("AUTH PLAIN " + base64.b64encode(f"\0x{n}\0wrong".encode()).decode())
                got = client.reply()
                if got.startswith(("421", "close")): return
                if client.pending.startswith(b"421"): return
            raise Wrong("twelve tries in one session")
    yield "medium", "RFC 4954", "few tries in one session", session

    def time_of():
        def once(name):
            with start(gateway, "tls") as client:
                began = time.monotonic()
                client.ask("AUTH PLAIN " + base64.b64encode(f"\0{name}\0wrong{time.monotonic()}".encode()).decode(), "535")
                return time.monotonic() - began
        known = statistics.median(once("other@practice.example") for _ in range(7))
        unknown = statistics.median(once("nobody@practice.example") for _ in range(7))
        expect(abs(known - unknown) <= 0.3 * max(known, unknown) + 0.05, f"{known:.3f} s and {unknown:.3f} s")
    yield "high", "robustness 10", "known and unknown take the same time", time_of

    def errors():
        with start(gateway, "clear") as client:
            for n in range(100):
                client.send("NOPE")
                got = client.reply()
                if got.startswith("421") or got == "close": return
        raise Wrong("a hundred errors")
    yield "medium", "RFC 5321 4.3.2", "errors end a session", errors

    def recipients():
        with start(gateway, "mail") as client:
            codes = []
            for n in range(0, 1100, 100):
                client.send("".join(f"RCPT TO:<m{n + i}@{FAR}>\r\n" for i in range(100)).encode())
                codes += [client.reply()[:3] for _ in range(100)]
            expect(codes[:1000] == ["250"] * 1000, "fewer than 1000")
            expect(set(codes[1000:]) == {"452"}, f"beyond 1000: {set(codes[1000:])}")
            client.silence()
    yield "medium", "RFC 5321 4.5.3.1.8", "1000 recipients, then 452", recipients

    def external():
        folder = gateway.folder
        out = gateway.run("certs", "issue", "clinic", "--send-as", "@practice.example", "--folder", folder)
        expect(out.returncode == 0, out.stdout + out.stderr)
        gateway.process.send_signal(1)
        shown = context()
        shown.load_cert_chain(folder / "clinic.pem", folder / "clinic.key")
        for _ in range(100):
            with gateway.dial("submissions") as client:
                client.tls(shown)
                client.expect("220")
                if "EXTERNAL" in client.ehlo(): break
            time.sleep(0.05)
        for who, wanted in ((b"=", "235"), (base64.b64encode(b"clinic"), "235"), (base64.b64encode(b"boss"), "535"), (base64.b64encode(USER.encode()), "535")):
            with gateway.dial("submissions") as client:
                client.tls(shown)
                client.expect("220"); client.ehlo()
                client.ask(b"AUTH EXTERNAL " + who + b"\r\n", wanted)
    yield "high", "RFC 4422 A", "EXTERNAL is who the certificate says", external


def floods(gateway, sink):
    def served(what, state="hospital", seconds=1.0):
        began = time.monotonic()
        with start(gateway, state) as client: client.silence()
        took = time.monotonic() - began
        expect(took <= seconds, f"{what}: served after {took:.2f} s")

    def one_address():
        held, source = [], gateway.source()
        try:
            codes = []
            for _ in range(400):
                s = socket.create_connection(("127.0.0.1", gateway.ports["submission"]), 10, (source, 0)); held.append(s)
                codes.append(s.recv(100)[:3])
            expect(codes.count(b"220") == 300 and codes.count(b"421") == 100, f"{codes.count(b'220')} let in")
            served("300 connections of one address")
        finally:
            for s in held: s.close()
    yield "high", "robustness 13", "300 connections of one address shut out nobody else", one_address

    def rate():
        source, codes = gateway.source(), []
        for _ in range(1400):
            with socket.create_connection(("127.0.0.1", gateway.ports["submission"]), 10, (source, 0)) as s: codes.append(s.recv(100)[:3])
        expect(b"421" in codes and 1000 <= codes.count(b"220") <= 1350, f"{codes.count(b'220')} let in")
        served("a fast stranger")
    yield "medium", "product", "a stranger who connects too often", rate

    def slow():
        held = []
        try:
            for n in range(500):
                s = socket.create_connection(("127.0.0.1", gateway.ports["submission"]), 10, (f"127.8.0.{n % 200 + 1}", 0)); held.append(s)
                s.sendall(b"E") if n % 2 else None
            for n in range(60):
                s = socket.create_connection(("127.0.0.1", gateway.ports["submissions"]), 10, (f"127.8.1.{n + 1}", 0)); held.append(s)
                s.sendall(b"\x16\x03\x01")
            served("500 slow clients and 60 handshakes", seconds=2.0)
        finally:
            for s in held: s.close()
    yield "high", "robustness 13", "500 slow clients and 60 stalled handshakes", slow


def places(gateway, sink):
    """A second gateway with few places and no space."""
    import pathlib, tempfile
    from gateway import Gateway

    def small(settings, test):
        def run():
            with tempfile.TemporaryDirectory(prefix="wardpost-abuse-") as folder:
                other = Gateway(gateway.program, folder, sink, settings)
                try: test(other)
                finally: other.stop()
        return run

    def kept(other):
        with start(other, "auth", "127.6.0.1"): pass
        held = []
        try:
            codes = []
            for n in range(60):
                s = socket.create_connection(("127.0.0.1", other.ports["submission"]), 10, (f"127.5.0.{n + 1}", 0)); held.append(s)
                codes.append(s.recv(100)[:3])
            expect(codes.count(b"220") == 36, f"{codes.count(b'220')} strangers of 40 places")
            with start(other, "hospital") as client: client.silence()
            with start(other, "auth", "127.6.0.1") as client: client.silence()
        finally:
            for s in held: s.close()
    yield "high", "product", "a flood of strangers leaves places for the hospital and for who logged in", small("max_connections = 40", kept)

    def idle(other):
        held, before = [], other.rss()
        try:
            for n in range(10000):
                s = socket.socket(); s.settimeout(10); s.bind((f"127.7.0.{n // 200 + 1}", 0)); s.connect(("127.0.0.1", other.ports["relay"])); held.append(s)
            for s in held: expect(s.recv(100)[:3] == b"220", "not let in")
            began = time.monotonic()
            with start(other, "hospital") as client: client.silence()
            expect(time.monotonic() - began <= 1.0, f"served after {time.monotonic() - began:.2f} s")
            each = (other.rss() - before) / len(held)
            print(f"# {each / 1024:.1f} KiB for each idle connection, {other.rss() >> 20} MiB in all", flush=True)
            expect(other.rss() <= 512 << 20, f"{other.rss() >> 20} MiB")
        finally:
            for s in held: s.close()
    yield "high", "robustness 13", "10,000 idle connections", small("", idle)

    def full(other):
        with start(other, "auth") as client:
            client.ask(SENDER, "452 4.3.1")
            client.ask(f"RCPT TO:<pat@{FAR}>", "503")
            client.silence()
    yield "high", "RFC 1870 6.1", "too little space is said at MAIL", small('max_message = "900000GiB"\nmemory_in_flight = "900000GiB"', full)


def callers(gateway, sink):
    rows = {
        "hospital to the world": ("hospital", [(SENDER, "250"), (f"RCPT TO:<pat@{FAR}>", "250")]),
        "hospital as a foreign domain": ("hospital", [("MAIL FROM:<x@bank.example>", "550")]),
        "hospital as a subdomain": ("hospital", [("MAIL FROM:<x@a.practice.example>", "550")]),
        "hospital with the null sender": ("hospital", [("MAIL FROM:<>", "250")]),
        "copier in clear": ("copier", [(SENDER, "250")]),
        "copier with a password in clear": ("copier", [("AUTH PLAIN AGEAYg==", "538|530|503")]),
        "stranger at the relay in clear": ("relay", [(SENDER, "530|550")]),
        "AUTH and MAIL in one segment": ("tls", [("AUTH PLAIN " + base64.b64encode(f"\0{USER}\0{gateway.password}".encode()).decode() + f"\r\n{SENDER}", "235"), (b"", "250")]),
        "LOGIN with the name at once": ("tls", [("AUTH LOGIN " + base64.b64encode(USER.encode()).decode(), "334"), (base64.b64encode(gateway.password.encode()).decode(), "235"), (SENDER, "250")]),
        "LOGIN step by step": ("tls", [("auth login", "334"), (base64.b64encode(USER.encode()).decode(), "334"), (base64.b64encode(gateway.password.encode()).decode(), "235")]),
        "PLAIN step by step": ("tls", [("AUTH plain", "334"), (base64.b64encode(f"{USER}\0{USER}\0{gateway.password}".encode()).decode(), "235")]),
        "password in other case": ("tls", [("AUTH PLAIN " + base64.b64encode(f"\0{USER}\0{gateway.password.swapcase()}".encode()).decode(), "535")]),
        "password with a blank": ("tls", [("AUTH PLAIN " + base64.b64encode(f"\0{USER}\0{gateway.password} ".encode()).decode(), "535")]),
        "the start of a password": ("tls", [("AUTH PLAIN " + base64.b64encode(f"\0{USER}\0{gateway.password[:-1]}".encode()).decode(), "535")]),
    }
    for name, (state, steps) in rows.items():
        def test(state=state, steps=steps):
            with start(gateway, state) as client:
                for line, wanted in steps: client.ask(line, wanted)
                client.silence()
        yield "critical" if "clear" in name or " as " in name else "high", "binding", name, test
