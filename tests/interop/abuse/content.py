"""What is sent as a message, and what of it may arrive: each function yields (severity, section, name, test)."""
import re, threading, time
from gateway import FAR, SENDER, USER, Wrong, expect, start

BASE = {"From": f"Ann <{USER}>", "To": f"Pat <pat@{FAR}>", "Subject": "visit", "Date": "Tue, 24 Nov 2026 10:00:00 +0000", "Message-ID": "<a@practice.example>"}


def letter(recipient, body=b"the office is closed on Thursday\r\n", raw="", **fields):
    head = {**BASE, "To": f"<{recipient}>", **{k.replace("_", "-"): v for k, v in fields.items()}}
    return raw.encode() + "".join(f"{k}: {v}\r\n" for k, v in head.items() if v is not None).encode() + b"\r\n" + body


def stuffed(content): return re.sub(rb"(?m)^\.", b"..", content) + b".\r\n"


counter, counter_lock = [0], threading.Lock()


def unique():
    with counter_lock:
        counter[0] += 1
        return f"r{counter[0]}@{FAR}"


def submit(client, recipient, content, wanted, mail=SENDER, more=()):
    client.ask(mail, "250")
    for to in (recipient, *more): client.ask(f"RCPT TO:<{to}>", "250")
    client.ask("DATA", "354")
    client.send(stuffed(content))
    return client.expect(wanted)


def smuggling(gateway, sink):
    """Ends of data that are none. The rest of the message looks like a transaction of somebody else."""
    vectors = ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r.\n", "\r\n\0.\r\n", "\r\n.\0\r\n", "\r\n.\r\0\n", "\r\r\n.\r\r\n", "\n\n.\n\n", "\n\r.\n\r", "\r\n.\n\r\n", "\n\r.\r\n", "\r\n.\r\r\n",
               "\r\n..\r\n", "\r\n. \r\n", "\r\n.\t\r\n", "\r\n.\v\r\n", "\r\n.\f\r\n", "\u2028.\u2028", "\x85.\x85", "\x1a", "\r\n\\.\r\n", "\r\n=2E\r\n"]
    for vector in vectors:
        octets = vector.encode()
        is_bare = bool(re.search(rb"\r(?!\n)|(?<!\r)\n|\0", octets + b"x"))

        def data(octets=octets, is_bare=is_bare):
            with start(gateway, "auth") as client:
                for cut in range(len(octets) + 1):
                    to = unique()
                    client.ask(SENDER, "250"); client.ask(f"RCPT TO:<{to}>", "250"); client.ask("DATA", "354")
                    client.send(letter(to, b"first" + octets[:cut]))
                    time.sleep(0.001)
                    client.send(octets[cut:] + f"{SENDER}\r\nRCPT TO:<smuggled@{FAR}>\r\nDATA\r\nFrom: {USER}\r\n\r\nsmuggled\r\n.\r\n".encode())
                    client.expect("550" if is_bare else "250|550")
                    client.silence()
            expect(not sink.of(f"smuggled@{FAR}"), "a second message was made")

        def chunk(octets=octets, is_bare=is_bare):
            with start(gateway, "auth") as client:
                for cut in range(len(octets) + 1):
                    to = unique()
                    whole = letter(to, b"first" + octets + b"MAIL FROM:<x@y.example>\r\n")
                    at = whole.index(b"first") + 5 + cut
                    client.ask(SENDER, "250"); client.ask(f"RCPT TO:<{to}>", "250")
                    client.send(f"BDAT {at}\r\n".encode() + whole[:at])
                    got = client.expect("250|550")
                    client.send(f"BDAT {len(whole) - at} LAST\r\n".encode() + whole[at:])
                    client.expect("503|550" if is_bare else "250|550")
                    client.silence()

        yield "critical", "RFC 5321 4.1.1.4, CVE-2023-51764", f"DATA {vector!r} at each cut", data
        yield "critical", "RFC 3030", f"BDAT {vector!r} at each cut", chunk


def framing(gateway, sink):
    def one(name, build, wanted, check=None, severity="high", mail=SENDER):
        def test():
            to = unique()
            with start(gateway, "auth") as client:
                submit(client, to, build(to), wanted, mail)
                client.silence()
            if check:
                _, content = sink.wait(to)
                check(content)
        return severity, "RFC 5321 4.5", name, test

    def holds(what): return lambda content: expect(what in content, f"{what[:60]!r} did not arrive")
    yield one("dots are taken off and put on", lambda to: letter(to, b".\r\n..\r\n...x\r\n.y\r\nz.\r\n"), "250", holds(b"\r\n.\r\n..\r\n...x\r\n.y\r\nz.\r\n"))
    yield one("a line of 998", lambda to: letter(to, b"x" * 998 + b"\r\n"), "250", holds(b"x" * 998))
    yield one("a line of 1,500 arrives as it was", lambda to: letter(to, b"x" * 1500 + b"\r\n"), "250", holds(b"x" * 1500), "medium")
    yield one("a line of 70,000", lambda to: letter(to, b"x" * 70000 + b"\r\n"), "55")
    yield one("a header line of 1 MiB", lambda to: letter(to, Subject="x" * (1 << 20)), "55")
    yield one("8-bit text without BODY", lambda to: letter(to, "geschlossen für heute\r\n".encode()), "250|55", None, "medium")
    yield one("8-bit text with BODY", lambda to: letter(to, "geschlossen für heute\r\n".encode(), MIME_Version="1.0", Content_Type="text/plain; charset=utf-8", Content_Transfer_Encoding="8bit"), "250", holds("für".encode()), "medium", SENDER + " BODY=8BITMIME")
    yield one("no header", lambda to: b"\r\nonly text\r\n", "55")
    yield one("no octets", lambda to: b"", "55")
    yield one("header without a body", lambda to: letter(to, b"")[:-2], "250|55", None, "medium")
    yield one("a header line that is none", lambda to: letter(to, raw="this is no field\r\n"), "55")
    yield one("a first line that is folded", lambda to: letter(to, raw=" folded\r\n"), "55")
    yield one("a folded blank line within the header", lambda to: letter(to, Subject="a\r\n \r\n b"), "250|55")

    def exact(extra, wanted):
        def test():
            to = unique()
            head = letter(to, b"")
            room = (2 << 20) - len(head) + extra
            line = b"y" * 76 + b"\r\n"
            body = line * (room // 78 - 1)
            body += b"z" * (room - len(body) - 2) + b"\r\n"
            with start(gateway, "auth") as client:
                submit(client, to, head + body, wanted)
                client.silence()
        return test
    yield "high", "RFC 1870 6", "the largest message", exact(0, "250")
    yield "high", "RFC 1870 6", "one octet more", exact(1, "552")

    def border():
        to = unique()
        with start(gateway, "auth") as client:
            for cut in range(1, 8):
                client.ask(SENDER, "250"); client.ask(f"RCPT TO:<{to}>", "250"); client.ask("DATA", "354")
                whole = letter(to, b"x\r\n") + b".\r\n"
                client.send(whole[:-cut]); time.sleep(0.005); client.send(whole[-cut:])
                client.expect("250"); client.silence()
    yield "high", "RFC 5321 4.1.1.4", "the end of data in two segments", border

    def pipelined():
        to = unique()
        with start(gateway, "auth") as client:
            client.ask(SENDER, "250"); client.ask(f"RCPT TO:<{to}>", "250"); client.ask("DATA", "354")
            client.send(letter(to) + b".\r\nNOOP\r\n" + f"{SENDER}\r\nRSET\r\nQUIT\r\n".encode())
            for wanted in ("250", "250", "250", "250", "221", "close"): client.expect(wanted)
    yield "medium", "RFC 2920", "commands behind the end of data", pipelined

    def chunks():
        to = unique()
        whole = letter(to, b"first line\r\n.\r\n.second\r\nlast")
        with start(gateway, "auth") as client:
            client.send(f"{SENDER}\r\nRCPT TO:<{to}>\r\n".encode() + b"".join(b"BDAT %d\r\n%s" % (1, whole[i:i + 1]) for i in range(60)) + b"BDAT %d LAST\r\n%s" % (len(whole) - 60, whole[60:]) + b"NOOP\r\n")
            for _ in range(64): client.expect("250")
        expect(b"first line\r\n.\r\n.second\r\nlast\r\n" in sink.wait(to)[1], "chunks arrived changed")
    yield "high", "RFC 3030 4.2", "a pipeline of small chunks", chunks

    def stream(octets=64 << 20):
        with start(gateway, "rcpt") as client:
            client.ask("DATA", "354")
            before, line = gateway.rss(), b"x" * 998 + b"\r\n"
            client.send(letter(f"pat@{FAR}"))
            piece = line * 1000
            for _ in range(octets // len(piece)): client.send(piece)
            grown = gateway.rss() - before
            client.send(b".\r\n")
            client.expect("552"); client.silence()
            expect(grown <= 64 << 20, f"memory grew by {grown >> 20} MiB")
    yield "critical", "RFC 5321 4.5.3.1.9", "a stream without end in bounded memory", stream

    def cut_off():
        to = unique()
        with start(gateway, "auth") as client:
            client.ask(SENDER, "250"); client.ask(f"RCPT TO:<{to}>", "250"); client.ask("DATA", "354")
            client.send(letter(to))
        with start(gateway, "auth") as client:
            after = unique()
            submit(client, after, letter(after), "250")
        sink.wait(after)
        expect(not sink.of(to), "half a message was delivered")
    yield "critical", "RFC 5321 4.1.1.4", "a message that breaks off", cut_off


def forgery(gateway, sink):
    """Header sections with tricks: refused, or nothing of the trick arrives."""
    secret = "hidden@secret.example"

    def case(name, wanted, check=None, severity="high", section="RFC 5322 3.6", state="auth", may_stay=False, **build):
        def test():
            to = unique()
            with start(gateway, state) as client:
                got = submit(client, to, letter(to, **build), wanted)
            if got.startswith("250") and not may_stay:
                _, content = sink.wait(to)
                header = content.split(b"\r\n\r\n", 1)[0].decode("utf-8", "replace") + "\r\n"
                expect(secret not in header, "another recipient's address left")
                expect(len(re.findall(r"(?mi)^from:", header)) == 1, "not exactly one From")
                received = re.findall(r"(?mi)^received:(.*(?:\r\n[ \t].*)*)", header)
                expect(len(received) == 1 and "gateway.practice.example" in received[0], f"Received: {received}")
                expect("127.9." not in header and "client.practice" not in header, "internal names leave")
                expect(not re.search(r"(?mi)^(return-path|bcc|resent-|x-original-to|delivered-to)", header), "a field that must not leave")
                if check: check(header)
        return severity, section, name, test

    has = lambda pattern: lambda header: expect(re.search(pattern, header), f"{pattern} is missing")
    no = lambda pattern: lambda header: expect(not re.search(pattern, header), f"{pattern} is there")
    bad = "550|554|501"
    for field in ("Bcc", "BCC", "bcc ", "Resent-Bcc", "Resent-To", "Resent-From", "Resent-Message-ID", "Apparently-To", "X-Original-To", "Delivered-To", "Envelope-To", "X-Envelope-To", "X-Rcpt-To", "X-Bcc", "Return-Path", "X-MS-Exchange-Organization-Recipient", "Errors-To", "Return-Receipt-To", "Thread-Topic", "Comments", "Keywords", "List-Post", "X-Forwarded-To", "Original-Recipient", "Received-SPF", "Authentication-Results", "DKIM-Signature", "ARC-Seal", "X-Wardpost-Token", "X-Wardpost-Hop", "TLS-Required"):
        yield case(f"{field} never leaves", "250|" + bad, no(f"(?mi)^{re.escape(field.strip())}[ \t]*:.*{re.escape(secret)}"), "critical" if "cc" in field.lower() else "high", raw=f"{field}: <{secret}>\r\n")
    yield case("Bcc in a folded line", "250|" + bad, severity="critical", raw=f"Bcc:\r\n <{secret}>,\r\n\t<x@secret.example>\r\n")
    yield case("Date and Message-ID are added", "250", lambda h: (has(r"(?m)^Date: ")(h), has(r"(?m)^Message-ID: <")(h)), "medium", "RFC 6409 8", Date=None, Message_ID=None)
    yield case("Received of others do not leave", "250", no("inner"), raw="Received: from inner ([10.0.0.7]) by inner2; Tue, 24 Nov 2026 10:00:00 +0000\r\n")
    yield case("100 Received are a loop", "554", None, "high", "RFC 5321 6.3", raw="Received: from a by b; Tue, 24 Nov 2026 10:00:00 +0000\r\n" * 100)
    for field, value in (("From", USER), ("From", "boss@practice.example"), ("To", secret), ("Subject", "second"), ("Cc", secret), ("Sender", USER), ("Date", BASE["Date"]), ("Message-ID", "<b@x>"), ("Reply-To", secret), ("MIME-Version", "1.0"), ("Content-Type", "text/html")):
        double = f"{field}: {value}\r\n" + (f"{field}: {value}\r\n" if field not in BASE else "")
        single = field in ("From", "To", "Subject", "Cc", "Sender")
        yield case(f"{field} twice ({value[:12]})", bad if single else "250|" + bad, lambda h, f=field: expect(len(re.findall(rf"(?mi)^{f}:", h)) <= 1 or f in ("MIME-Version", "Content-Type"), "twice"), "critical" if field == "From" else "high", may_stay=field in ("Content-Type", "MIME-Version"), raw=double)
    for name, value in {"another": "boss@practice.example", "a foreign domain": "ceo@bank.example", "two": f"{USER}, boss@practice.example", "two, own last": f"boss@practice.example, {USER}", "a group": f"staff: {USER};", "an empty group": "staff:;", "none": "", "no address": "Ann", "a second address in brackets": f"<boss@practice.example> <{USER}>", "no bracket": f"boss@practice.example <{USER}>", "a comment in the way": f"(<{USER}>) <boss@practice.example>", "NUL word": f"boss@practice.example\\0 <{USER}>", "a route": f"<@boss.example:{USER}>", "an encoded word for an address": "=?utf-8?Q?ann=40practice=2Eexample?=", "a semicolon list": f"{USER}; boss@practice.example", "an open quote": f"\"boss@practice.example <{USER}>", "an open bracket": f"<{USER}", "nested brackets": f"<<{USER}>>", "a trailing dot": f"<{USER}.>", "a subdomain": "ann@x.practice.example", "words behind": f"<{USER}> boss@practice.example", "an open comment": f"{USER} (boss@practice.example", "look-alike": "ann@practice.exаmple", "folded in the middle": "boss@\r\n practice.example", "a percent hack": "ann%practice.example@bank.example", "UTF-7": "+AGEAbgBu-@practice.example"}.items():
        yield case(f"From is {name}", "250|550" if name in ("an open quote", "no bracket", "NUL word", "a route", "a trailing dot") else bad, lambda h: expect(USER in h, "From is another"), "critical", "binding", From=value)
    for name, value in {"an address as the name": f"\"boss@practice.example\" <{USER}>", "an encoded address as the name": f"=?utf-8?B?Ym9zc0BwcmFjdGljZS5leGFtcGxl?= <{USER}>"}.items():
        yield case(f"From has {name}", "250|" + bad, None, "medium", "binding", From=value)
    for name, value in {"another": "boss@practice.example", "two": f"{USER}, {USER}", "a group": f"x: {USER};", "none": ""}.items():
        yield case(f"Sender is {name}", bad if name != "none" else "250|" + bad, None, "high", "binding", Sender=value)
    yield case("no From", bad, None, "critical", "binding", From=None)
    yield case("a blank before the colon", "250|" + bad, None, "high", raw=f"From : boss@practice.example\r\n")
    yield case("From in other case twice", bad, None, "critical", raw=f"FROM: boss@practice.example\r\n")
    yield case("NUL-like name", bad, None, raw="Fr\x7fom: x\r\n")
    yield case("8-bit name", bad + "|250", None, raw="Fröm: boss@practice.example\r\n")
    yield case("20,000 fields", bad + "|250|552", None, "high", raw="X-A: b\r\n" * 20000)
    yield case("a copy to many shows one", "250|" + bad, no("secret"), "critical", "product", Cc=f"<{secret}>", To=f"<{secret}>, <y@secret.example>")
    yield case("group syntax in To", "250|" + bad, no("secret"), "high", To=f"patients: <{secret}>, <z@secret.example>;")
    yield case("raw UTF-8 in Subject", "250|" + bad, None, "medium", "RFC 6532", may_stay=True, Subject="Prüfung")
    yield case("an escape sequence in Subject", "250|" + bad, None, "low", Subject="\x1b[2J")
    yield case("Reply-To of another", "250|" + bad, no("secret"), "high", "product", Reply_To=secret)
    yield case("a receipt to another", "250|" + bad, no("secret"), "high", "product", Disposition_Notification_To=secret)

    def twice():
        with start(gateway, "auth") as client:
            to = unique()
            submit(client, to, letter(to), "250", more=(to, to.upper().replace(FAR.upper(), FAR)))
        sink.wait(to)
    yield "medium", "RFC 5321 4.1.1.3", "the same recipient twice", twice

    def strangers():
        a, b = unique(), unique()
        with start(gateway, "auth") as client:
            submit(client, a, letter(a, To=f"<{a}>, <{b}>"), "250", SENDER + " ENVID=room-seven", more=(b,))
        for own, other in ((a, b), (b, a)):
            mail, content = sink.wait(own)
            expect(other.encode() not in content, "recipients see each other")
            expect("room-seven" not in mail, "the client's ENVID left")
    yield "critical", "product", "two recipients do not see each other", strangers


def reports(gateway, sink):
    """Reports about recipients that do not exist: what the client typed must not become fields of ours."""
    def report_of(marker, params, mail=SENDER, state="auth"):
        with start(gateway, state) as client:
            client.ask(mail, "250"); client.ask(f"RCPT TO:<gone-{marker}@{FAR}> {params}".rstrip(), "250"); client.ask("DATA", "354")
            client.send(letter(f"gone-{marker}@{FAR}", b"ZEBRA body of a patient\r\n", Subject="ZEBRA") + b".\r\n")
            client.expect("250")
        until = time.monotonic() + 15
        while time.monotonic() < until:
            for line, content in sink.of(USER):
                if f"gone-{marker}".encode() in content: return line, content
            time.sleep(0.05)
        return None, b""

    def plain():
        line, content = report_of("plain", "")
        expect(line and line.startswith("MAIL FROM:<>"), f"a report with the sender {line}")
        expect(b"multipart/report" in content and b"message/delivery-status" in content and b"Auto-Submitted: auto-" in content, "not as RFC 3464 writes it")
        expect(b"ZEBRA" not in content, "content or the remote text in a report")
    yield "critical", "RFC 3464", "a report: null sender, no content", plain

    def injected():
        line, content = report_of("inject", "NOTIFY=FAILURE ORCPT=rfc822;a+0D+0AX-Evil:+20b@c.example", SENDER + " ENVID=q+0D+0AX-Evil:+20b")
        expect(line, "no report")
        expect(not re.search(rb"(?m)^X-Evil", content), "a field was injected by ORCPT or ENVID")
    yield "critical", "RFC 3461 4.2", "CRLF in ORCPT and ENVID", injected

    def never():
        line, _ = report_of("never", "NOTIFY=NEVER")
        expect(line is None, "NOTIFY=NEVER was reported")
    yield "high", "RFC 3461 4.1", "NOTIFY=NEVER is obeyed", never

    def null():
        line, _ = report_of("null", "", "MAIL FROM:<>", "hospital")
        expect(line is None, "a report about a report")
    yield "high", "RFC 5321 6.1", "no report for the null sender", null


def bombs():
    """Messages that cost much to read: (name, content)."""
    import base64, gzip, io, zipfile
    head = lambda ctype: f"MIME-Version: 1.0\r\nContent-Type: {ctype}\r\n"

    def attached(name, octets, ctype="application/octet-stream"):
        b64 = base64.encodebytes(octets).replace(b"\n", b"\r\n")
        return (head("multipart/mixed; boundary=b") + f"\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: {ctype}; name=\"{name}\"\r\nContent-Disposition: attachment; filename=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n").encode() + b64 + b"\r\n--b--\r\n"

    def zipped(files):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
            for name, octets in files.items(): z.writestr(name, octets)
        return out.getvalue()

    def nest(depth, octets):
        for n in range(depth): octets = zipped({f"{n}.zip": octets})
        return octets
    zeros = bytes(32 << 20)
    levels = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n" for n in range(20000))
    yield "20,000 levels", ("MIME-Version: 1.0\r\n" + levels).encode()
    yield "100,000 parts", (head("multipart/mixed; boundary=b") + "\r\n" + "--b\r\n\r\nx\r\n" * 100000 + "--b--\r\n").encode()
    yield "10,000 messages in messages", ("MIME-Version: 1.0\r\n" + "Content-Type: message/rfc822\r\n\r\n" * 10000 + "x\r\n").encode()
    yield "a boundary of 10,000", (head("multipart/mixed; boundary=" + "b" * 10000) + "\r\nx\r\n").encode()
    yield "no boundary", (head("multipart/mixed") + "\r\n--b\r\n\r\nx\r\n").encode()
    yield "an empty boundary", (head('multipart/mixed; boundary=""') + "\r\n--\r\n\r\nx\r\n").encode()
    yield "10,000 parameters", (head("text/plain" + "".join(f";\r\n a{n}=b" for n in range(10000))) + "\r\nx\r\n").encode()
    yield "10,000 pieces of RFC 2231", (head("text/plain" + "".join(f";\r\n name*{n}*=%41" for n in range(10000))) + "\r\nx\r\n").encode()
    yield "comments 20,000 deep", (head("text/plain " + "(\r\n " * 20000) + "\r\nx\r\n").encode()
    yield "encoded words 20,000", ("Subject: " + "\r\n =?utf-8?Q?a?=" * 20000 + "\r\n\r\nx\r\n").encode()
    yield "To with 20,000 names", ("Cc: " + ",\r\n ".join(f"a{n}@b.example" for n in range(20000)) + "\r\n\r\nx\r\n").encode()
    yield "a zip of 32 MiB zeros", attached("a.zip", zipped({"a.txt": zeros}))
    yield "16 zips of 32 MiB", attached("a.zip", zipped({f"{n}.txt": zeros for n in range(16)}))
    yield "a zip 40 deep", attached("a.zip", nest(40, b"x"))
    yield "a zip of 20,000 files", attached("a.zip", zipped({f"{n}": b"x" for n in range(5000)}))
    yield "gzip of 256 MiB", attached("a.gz", gzip.compress(bytes(256 << 20), 6))
    yield "gzip of gzip", attached("a.gz", gzip.compress(gzip.compress(gzip.compress(zeros))))
    lol = '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">' + "".join(f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(9)) + "]><r>&j;</r>"
    yield "XML entities in a document", attached("a.docx", zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": lol}))
    yield "XML 100,000 deep", attached("a.docx", zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": "<a>" * 100000}))
    yield "a sheet of 32 MiB", attached("a.xlsx", zipped({"[Content_Types].xml": "<Types/>", "xl/workbook.xml": "<workbook/>", "xl/worksheets/sheet1.xml": b"<c/>" * (8 << 20)}))
    yield "HTML 50,000 deep", (head("text/html") + "\r\n" + ("<div>" * 100 + "\r\n") * 500).encode()
    yield "HTML of 20,000 tables", (head("text/html") + "\r\n" + "<table><tr><td>\r\n" * 20000).encode()
    yield "HTML comments that never end", (head("text/html") + "\r\n" + "<!--\r\n" * 50000).encode()
    yield "1 MiB of one letter", (head("text/plain") + "\r\n" + ("a" * 76 + "\r\n") * 13000).encode()
    yield "digits without end", (head("text/plain") + "\r\n" + ("1234567890 " * 7 + "\r\n") * 13000).encode()
    yield "at signs and dots", (head("text/plain") + "\r\n" + ("a.a@" * 19 + "\r\n") * 13000).encode()
    yield "blanks and letters", (head("text/plain") + "\r\n" + ("a " * 38 + "!\r\n") * 13000).encode()
    yield "base64 that is none", (head("text/plain") + "Content-Transfer-Encoding: base64\r\n\r\n" + ("=" * 76 + "\r\n") * 13000).encode()
    yield "quoted-printable soft breaks", (head("text/plain") + "Content-Transfer-Encoding: quoted-printable\r\n\r\n" + "=\r\n" * 300000).encode()
    yield "a PDF of objects", attached("a.pdf", b"%PDF-1.4\n" + b"".join(b"%d 0 obj<</Kids[%d 0 R]>>endobj\n" % (n, n + 1) for n in range(20000)) + b"trailer<</Root 1 0 R>>\n%%EOF")
    yield "uuencode without end", b"\r\n" + b"begin 644 x\r\n" * 20000
    yield "winmail.dat of junk", attached("winmail.dat", b"\x78\x9f\x3e\x22" + bytes(200000), "application/ms-tnef")


def bomb_cases(gateway, sink):
    for name, content in bombs():
        def test(content=content):
            to = unique()
            stop, slow = threading.Event(), []

            def others():
                while not stop.is_set():
                    began = time.monotonic()
                    with start(gateway, "clear") as client: client.silence()
                    slow.append(time.monotonic() - began)
                    stop.wait(0.2)
            watcher = threading.Thread(target=others)
            watcher.start()
            try:
                before = gateway.rss()
                with start(gateway, "auth") as client:
                    began = time.monotonic()
                    head = "".join(f"{k}: {v}\r\n" for k, v in {**BASE, "To": f"<{to}>"}.items() if not (k == "Subject" and content.startswith(b"Subject")))
                    submit(client, to, head.encode() + content, "2|55|45")
                    took = time.monotonic() - began
                expect(took <= 30, f"the reply took {took:.1f} s")
                expect(gateway.rss() - before <= 256 << 20, "memory")
            finally:
                stop.set()
                watcher.join()
            expect(not slow or max(slow) <= 5, f"another client waited {max(slow):.1f} s")
        yield "high", "robustness", f"bomb: {name}", test
