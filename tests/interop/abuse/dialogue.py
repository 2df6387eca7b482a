"""Tables of what a client says and what must be answered. An alternative is the start of a reply; "close" is the end.

A row is (severity, section, name, state, [(line, wanted), ...]); the state is one of `gateway.start`. Bytes are sent as
they are, text gets a CRLF. After each row that does not end the session a NOOP must be answered, and nothing else.
"""
import base64
from gateway import FAR, SENDER, USER

E, BAD = "RFC 5321 ", "50|55"
b64 = lambda what: base64.b64encode(what if isinstance(what, bytes) else what.encode()).decode()


def commands():
    rows = []
    add = lambda sev, sec, name, state, *steps: rows.append((sev, sec, name, state, list(steps)))
    # greeting, EHLO, HELO
    add("high", E + "4.3.1", "a banner comes first", "raw", (b"", "220 "))
    for name in ("client.practice.example", "[127.0.0.1]", "[IPv6:::1]", "localhost", "a_b", "x" * 60):
        add("medium", E + "4.1.1.1", f"EHLO {name[:24]}", "fresh", (f"EHLO {name}", "250-"))
        add("medium", E + "4.1.1.1", f"HELO {name[:24]}", "fresh", (f"HELO {name}", "250 "))
    for name, line in {"no name": "EHLO", "blank name": "EHLO ", "two names": "EHLO a b", "300 octets": "EHLO " + "x" * 300, "angle": "EHLO <a>", "quote": 'EHLO "a"', "semicolon": "EHLO a;b", "pipe": "EHLO a|id", "dollar": "EHLO ${run{id}}", "HELO none": "HELO"}.items():
        add("low", E + "4.1.1.1", f"EHLO with {name}", "fresh", (line, "501"))
    add("medium", E + "4.1.4", "EHLO twice", "clear", ("EHLO other.example", "250-"))
    add("high", E + "4.1.4", "EHLO ends the transaction", "rcpt", ("EHLO x.example", "250-"), ("DATA", "503"))
    add("high", E + "4.1.4", "HELO ends the transaction", "rcpt", ("HELO x.example", "250"), ("DATA", "503"))
    add("medium", E + "4.1.1.1", "after HELO no parameters", "auth", ("HELO x.example", "250"), (SENDER + " BODY=8BITMIME", "555|501"))
    # syntax
    for line, wanted in {"noop": "250", "NoOp": "250", "NOOP ": "250", "NOOP  \t": "250", "NOOP an argument": "250", "RSET": "250", "rset  ": "250", "HELP": "214", "HELP MAIL": "214", "VRFY ann": "252", "VRFY root": "252", "EXPN staff": "50|252",
                         "VRFY": "501", "EXPN": "501|502", "RSET x": "501", "DATA x": "501|503", "NOPE": "500|502", "TURN": "50", "ETRN x": "50", "SEND FROM:<a@b>": "50", "SOML": "50", "SAML": "50", "WIZ": "50", "DEBUG": "50", "XCLIENT ADDR=127.0.0.2": "50", "XFORWARD NAME=x": "50", "BURL imap://x": "50", "ATRN x": "50", "ONEX": "50", "VERB": "50", "": "500",
                         " NOOP": "500", "\tNOOP": "500", "NOOP\tx": "500|250", "MAILFROM:<a@b>": "50", "N" * 600: "500", "NOOP " + "x" * 480: "250", "NOOP " + "x" * 506: "500", "NOOP " + "x" * 60000: "500", "\x7f": "500", "é": "500", "\U0001f600": "500", "\x1b[2J": "500", "%s%s%n": "500", "${jndi:ldap://x}": "500", "*": "500", ".": "500"}.items():
        add("medium", E + "4.1.1", f"line {line[:30]!r} ({len(line)})", "clear", (line, wanted))
    for name, octets in {"NUL": b"NO\0OP\r\n", "CR inside": b"NO\rOP\r\n", "bare LF": b"NOOP\n", "CR CR LF": b"NOOP\r\r\n", "8-bit": b"\xff\xfe\xfd\r\n", "LF then verb": b"NOOP\nQUIT\r\n"}.items():
        add("high", E + "2.3.8", f"command with {name}", "clear", (octets, "50"))
    add("high", E + "2.3.8", "a bare LF cannot hide a command", "auth", (b"NOOP x\nMAIL FROM:<ann@practice.example>\r\n", "50"))
    add("low", E + "4.1.1.10", "QUIT", "clear", ("QUIT", "221"), (b"", "close"))
    add("low", E + "4.1.1.10", "QUIT with an argument", "clear", ("QUIT now", "501|221"))
    add("low", E + "4.1.1.10", "QUIT before EHLO", "fresh", ("quit", "221"), (b"", "close"))
    add("medium", E + "4.1.1.9", "NOOP before EHLO", "fresh", ("NOOP", "250"))
    add("medium", E + "4.1.1.5", "RSET before EHLO", "fresh", ("RSET", "250"))
    add("high", "CVE-2021 cross protocol", "HTTP is ended", "fresh", (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\n", "554|500|421"), (b"", "close"))
    add("high", "cross protocol", "HTTP POST is ended", "fresh", (b"POST / HTTP/1.1\r\n\r\nNOOP\r\n", "554|500|421"), (b"", "close"))
    # order
    for line in (SENDER, f"RCPT TO:<pat@{FAR}>", "DATA", "BDAT 0 LAST", "STARTTLS", "AUTH PLAIN AGEAYg=="):
        add("high", E + "4.1.4", f"{line[:12]} before EHLO", "fresh", (line, "503|530|538"))
    add("high", E + "3.3", "RCPT before MAIL", "auth", (f"RCPT TO:<pat@{FAR}>", "503"))
    add("high", E + "3.3", "DATA before MAIL", "auth", ("DATA", "503"))
    add("high", E + "3.3", "DATA before RCPT", "mail", ("DATA", "503|554"))
    add("high", E + "3.3", "MAIL twice", "mail", (SENDER, "503"))
    add("high", E + "3.3", "MAIL after RCPT", "rcpt", (SENDER, "503"), ("RSET", "250"), (SENDER, "250"))
    add("high", E + "4.1.1.5", "RSET forgets all", "rcpt", ("RSET", "250"), ("DATA", "503"))
    add("medium", E + "4.1.1.4", "DATA after every RCPT failed", "mail", ("RCPT TO:<x>", BAD), ("DATA", "503|554"))
    add("medium", "RFC 2920 3.1", "a group in one segment", "auth", (f"{SENDER}\r\nRCPT TO:<pat@{FAR}>\r\nRSET\r\nNOOP\r\n".encode(), "250 2.1.0"), (b"", "250 2.1.5"), (b"", "250"), (b"", "250"))
    add("high", "RFC 2920 3.1", "DATA in a group whose recipients fail", "auth", (f"{SENDER}\r\nRCPT TO:<x>\r\nDATA\r\n".encode(), "250"), (b"", BAD), (b"", "503|554"))
    add("medium", "RFC 2920 3.2", "one octet at a time", "clear", *[(bytes([octet]), None) for octet in b"NOOP\r"], (b"\n", "250"))
    # STARTTLS
    add("high", "RFC 3207 4", "STARTTLS with an argument", "clear", ("STARTTLS now", "501"))
    add("high", "RFC 3207 4", "STARTTLS inside TLS", "tls", ("STARTTLS", "503|50"))
    add("high", "RFC 3207 4", "STARTTLS on implicit TLS", "implicit", (b"", "220"), ("EHLO x", "250"), ("STARTTLS", "503|50"))
    add("medium", "RFC 3207 4", "STARTTLS after HELO", "fresh", ("HELO x", "250"), ("STARTTLS", "50|220"))
    add("critical", "CVE-2011-0411", "clear text behind STARTTLS is never run", "clear", (b"STARTTLS\r\nNOOP\r\n", "554|421|50"), (b"", "close"))
    add("critical", "CVE-2011-0411", "a transaction behind STARTTLS is never run", "clear", (f"STARTTLS\r\nEHLO x\r\n{SENDER}\r\n".encode(), "554|421|50"), (b"", "close"))
    add("critical", "RFC 3207 4.2", "TLS forgets EHLO", "tls-fresh", (SENDER, "503"))
    add("critical", "RFC 3207 4.2", "TLS forgets EHLO for AUTH", "tls-fresh", ("AUTH PLAIN " + b64(f"\0{USER}\0x"), "503"))
    add("critical", "RFC 3207 4", "no mail in clear", "clear", (SENDER, "530 5.7.0"))
    add("critical", "RFC 3207 4", "no null sender in clear", "clear", ("MAIL FROM:<>", "530 5.7.0|550"))
    # AUTH
    add("critical", "RFC 4954 4", "AUTH in clear", "clear", ("AUTH PLAIN " + b64("\0a\0b"), "538|530|503"))
    add("critical", "RFC 4954 4", "AUTH LOGIN in clear", "clear", ("AUTH LOGIN", "538|530|503"))
    for name, line in {"no mechanism": "AUTH", "blank": "AUTH ", "three words": "AUTH PLAIN AAAA AAAA", "two blanks": "AUTH PLAIN  AAAA", "odd mechanism": "AUTH PL@IN", "long mechanism": "AUTH " + "X" * 30, "CRAM-MD5": "AUTH CRAM-MD5", "NTLM": "AUTH NTLM", "GSSAPI": "AUTH GSSAPI", "XOAUTH2": "AUTH XOAUTH2 AAAA", "ANONYMOUS": "AUTH ANONYMOUS", "EXTERNAL without a certificate": "AUTH EXTERNAL =", "EXTERNAL as ann": "AUTH EXTERNAL " + b64(USER)}.items():
        add("high", "RFC 4954 4", f"AUTH: {name}", "tls", (line, "501|504"))
    for name, text in {"not base64": "?", "no padding": "AGEAYg", "blank": "", "one field": b64("x"), "two fields": b64("\0x"), "four fields": b64("\0x\0y\0z"), "empty password": b64("\0" + USER + "\0"), "empty name": b64("\0\0x"), "authzid of another": b64(f"boss\0{USER}\0x"), "name not UTF-8": b64(b"\0\xff\0x"), "long name": b64("\0" + "n" * 300 + "\0x"), "long password": b64("\0" + USER + "\0" + "p" * 5000), "wrong password": b64(f"\0{USER}\0wrong"), "unknown user": b64("\0nobody\0wrong"), "SQL": b64("\0' OR 1=1 --\0x"), "wildcard": b64("\0*\0*"), "CRLF inside": b64("\0a\r\nb\0c")}.items():
        add("high", "RFC 4616", f"PLAIN: {name}", "tls", ("AUTH PLAIN", "334"), (text, "501|535"), (SENDER, "530"))
    add("medium", "RFC 4954 4", "PLAIN cancelled", "tls", ("AUTH PLAIN", "334"), ("*", "501"))
    add("medium", "RFC 4954 4", "LOGIN cancelled at the name", "tls", ("AUTH LOGIN", "334"), ("*", "501"))
    add("medium", "RFC 4954 4", "LOGIN cancelled at the password", "tls", ("AUTH LOGIN", "334"), (b64("a"), "334"), ("*", "501"))
    add("medium", "RFC 4954 4", "LOGIN with a bad name", "tls", ("AUTH LOGIN", "334"), ("?", "501"))
    add("medium", "RFC 4954 4", "an empty initial response", "tls", ("AUTH PLAIN =", "501|535"))
    add("high", "RFC 4954 4", "a response of 12,288 octets and more", "tls", ("AUTH PLAIN", "334"), ("A" * 12400, "500|501"))
    add("high", "RFC 4954 4", "an AUTH line of 12,288 octets and more", "tls", ("AUTH PLAIN " + "A" * 12400, "500|501"))
    add("medium", "RFC 4954 4", "a response of 12,000 octets", "tls", ("AUTH PLAIN", "334"), ("A" * 12000, "501|535"))
    add("high", "RFC 4954 4", "AUTH twice", "auth", ("AUTH PLAIN " + b64("\0a\0b"), "503"))
    add("high", "RFC 4954 4", "AUTH within a transaction", "mail", ("AUTH PLAIN " + b64("\0a\0b"), "503"))
    add("high", "RFC 4954 4", "a bare LF ends no response", "tls", ("AUTH PLAIN", "334"), (b"AAAA\nNOOP\r\n", "50"))
    add("medium", "RFC 4954 4", "a command is no response", "tls", ("AUTH LOGIN", "334"), ("QUIT", "501|334|535"), (b"", None))
    # MAIL parameters
    big, huge = 3 << 20, "9" * 20
    for params, wanted in {f"SIZE={big}": "552", f"SIZE={huge}": "552", "SIZE=0": "250", "SIZE=1000": "250", "SIZE=-1": "501", "SIZE=+1": "501", "SIZE=": "501", "SIZE": "501", "SIZE=abc": "501", "SIZE=1e3": "501", "SIZE=0x10": "501", f"SIZE={'1' * 21}": "501|552", "SIZE=1 SIZE=2": "501", "size=10": "250",
                           "BODY=7BIT": "250", "BODY=8bitmime": "250", "BODY=BINARYMIME": "501|555|504", "BODY=": "501", "BODY": "501", "BODY=X": "501", "BODY=7BIT BODY=7BIT": "501", "SMTPUTF8": "250", "SMTPUTF8=1": "501", "SMTPUTF8 SMTPUTF8": "501", "RET=FULL": "250", "RET=hdrs": "250", "RET=X": "501", "RET": "501", "RET=FULL RET=HDRS": "501",
                           "ENVID=QQ314159": "250", "ENVID=a+2Bb": "250", "ENVID=a+2b": "501", "ENVID=a+": "501", "ENVID=a+4": "501", "ENVID=a=b": "501", "ENVID=": "501", "ENVID=" + "x" * 100: "250", "ENVID=" + "x" * 101: "501", "ENVID=a ENVID=b": "501", "AUTH=<>": "250", "AUTH=ann@practice.example": "250", "AUTH=a+": "501", "AUTH=": "501", "AUTH=<> AUTH=<>": "501", "REQUIRETLS": "250", "REQUIRETLS=1": "501", "REQUIRETLS REQUIRETLS": "501",
                           "NOTIFY=NEVER": "555|501", "X=Y": "555", "XVERP": "555", "=": "501", "SIZE=1  BODY=7BIT": "501|250", "MT-PRIORITY=3": "555", "BY=120;R": "555", "HOLDFOR=10": "555", "é=1": "501|555", " SIZE=1": "501|250"}.items():
        add("medium", "RFC 1870, 3461, 4954, 6152, 8689", f"MAIL {params[:30]}", "auth", (f"{SENDER} {params}", wanted))
    add("high", "RFC 8689 4.1", "REQUIRETLS in clear", "copier", (SENDER + " REQUIRETLS", "555|501|530"))
    add("medium", "RFC 6531 3.4", "a UTF-8 sender without SMTPUTF8", "auth", ("MAIL FROM:<änn@practice.example>", "553|550|501"))
    add("high", "binding", "a UTF-8 sender of another", "auth", ("MAIL FROM:<änn@practice.example> SMTPUTF8", "550|553"))
    for sender in ("boss@practice.example", "ann@other.example", "ann@practice.example.evil.example", "ann@practice.exampl", "<ann@practice.example>", '"ann "@practice.example', "ann+x@practice.example", "ann@[127.0.0.1]", "@a.example:ann@practice.example", "ann", "ann%x@practice.example", "ann@practice.example@evil.example", "ann@practice.example\u200b", "ANN@xn--practice-example"):
        add("critical" if "boss" in sender or "evil" in sender else "high", "binding", f"MAIL FROM {sender}", "auth", (f"MAIL FROM:<{sender}>", BAD))
    add("low", E + "2.3.11", "the same sender in other case of the domain", "auth", ("MAIL FROM:<ann@PRACTICE.example>", "250"))
    add("low", E + "4.1.1.2", "a blank before the bracket", "auth", (f"MAIL FROM: <{USER}>", "250|501"))
    for line in ("MAIL", "MAIL ", "MAIL FROM", "MAIL FROM:", f"MAIL FROM:{USER}", f"MAIL FROM:<{USER}", f"MAIL FROM <{USER}>", f"MAIL TO:<{USER}>", f"MAIL FROM:<{USER}>x", f"MAIL FROM:<{USER}>>", f"MAIL FROM:\"Ann\" <{USER}>", f"MAIL FROM:<{USER}>,<a@b.example>"):
        add("medium", E + "4.1.1.2", f"syntax {line[:34]}", "auth", (line, "50|555"))
    # RCPT parameters
    for params, wanted in {"NOTIFY=NEVER": "250", "NOTIFY=SUCCESS,FAILURE,DELAY": "250", "notify=success": "250", "NOTIFY=NEVER,SUCCESS": "501", "NOTIFY=SUCCESS,SUCCESS": "501|250", "NOTIFY=": "501", "NOTIFY": "501", "NOTIFY=X": "501", "NOTIFY=SUCCESS,": "501", "NOTIFY=NEVER NOTIFY=NEVER": "501", "ORCPT=rfc822;pat@out.example": "250", "ORCPT=rfc822;a+40b": "250", "ORCPT=rfc822": "501", "ORCPT=;a": "501", "ORCPT=rfc822;": "501", "ORCPT=rfc822;a+": "501", "ORCPT=rfc822;a=b": "501", "ORCPT=" + "rfc822;" + "x" * 600: "501", "ORCPT=rfc822;a ORCPT=rfc822;b": "501", "SIZE=1": "555|501", "X=1": "555"}.items():
        add("medium", "RFC 3461 4", f"RCPT {params[:34]}", "mail", (f"RCPT TO:<pat@{FAR}> {params}", wanted))
    return rows


def addresses():
    rows = []
    add = lambda sev, sec, name, state, *steps: rows.append((sev, sec, name, state, list(steps)))
    # every form that asks for a relay, by somebody who may not send at all
    forms = [f"pat@{FAR}", f"pat%{FAR}@practice.example", f"{FAR}!pat@practice.example", f"@practice.example:pat@{FAR}", f"@a.example,@b.example:pat@{FAR}", f"pat%{FAR}@127.0.0.1", f"pat%{FAR}@[127.0.0.1]", "pat@[127.0.0.1]", "pat@[IPv6:::1]", "pat@[8.8.8.8]", f"\"pat@{FAR}\"", f"\"pat@{FAR}\"@practice.example", f"\"pat%{FAR}\"@practice.example", f"\"{FAR}!pat\"@practice.example", f"pat@{FAR}@practice.example", f"pat@practice.example@{FAR}", f"{FAR}!pat", f"pat%{FAR}", f"pat%{FAR}@", f"@{FAR}", "pat@", "pat", f"pat@{FAR}.", f"pat@.{FAR}", "pat@127.0.0.1", "pat@2130706433", "pat@0x7f.1", f"practice.example!{FAR}!pat", f"pat%{FAR}%practice.example@practice.example", f"pat@practice.example%{FAR}", f"|id@{FAR}", f"\"|id\"@{FAR}", f"/etc/passwd@{FAR}", f"pat@{FAR}\t", f"pat@{FAR} x", f"<pat@{FAR}>"]
    for form in forms:
        add("critical", "open relay", f"stranger at the relay to {form}", "relay+tls", (SENDER, "530|550|554"), (f"RCPT TO:<{form}>", "50|55"), ("DATA", "50|55"))
    for form in forms[:8]:
        add("critical", "open relay", f"null sender of a stranger to {form}", "relay+tls", ("MAIL FROM:<>", "530|550|554"), (f"RCPT TO:<{form}>", "50|55"), ("DATA", "50|55"))
    # forms that must be refused to those who may send: they ask the next host to relay, or name no mailbox
    for form in forms[1:28]:
        wanted = "250|50|55" if form in (f"pat@{FAR}.",) or form.startswith('"pat@out.example"@') else BAD
        add("high", E + "4.1.1.3", f"ann to {form}", "mail", (f"RCPT TO:<{form}>", wanted))
    long = ".".join(["d" * 60] * 5)
    for name, form, wanted in (("64 octets local", "l" * 64 + "@" + FAR, "250"), ("65 octets local", "l" * 65 + "@" + FAR, BAD), ("domain of 200", ".".join(["d" * 49] * 4) + "", None), ("domain over 255", "p@" + long, BAD), ("label of 63", "p@" + "d" * 63 + ".example", "250"), ("label of 64", "p@" + "d" * 64 + ".example", BAD), ("line over 2048", "p" * 3000 + "@" + FAR, "500|501"), ("quoted", f"\"a b\"@{FAR}", "250"), ("escaped", f"\"a\\\"b\"@{FAR}", "250"), ("plain atext", f"!#$&'*+-/=?^_`{{|}}~"[1:] + f"@{FAR}", "250|50|55"), ("dot first", f".p@{FAR}", BAD), ("dot last", f"p.@{FAR}", BAD), ("two dots", f"p..q@{FAR}", BAD), ("two dots in the domain", "p@out..example", BAD), ("underscore domain", "p@a_b.example", "250|50|55"), ("hyphen first", "p@-a.example", BAD), ("hyphen last", "p@a-.example", BAD), ("numbers", "p@1.2.3.4", BAD), ("digits domain", "p@123.example", "250"), ("single label", "p@localhost", "250|50|55"), ("xn-- valid", "p@xn--bcher-kva.example", "250"), ("xn-- broken", "p@xn--\u00e9.example", BAD), ("postmaster", "postmaster", "250"), ("PostMaster in other case", "POSTMASTER", "250"), ("blank inside", f"a b@{FAR}", BAD), ("comma", f"a,b@{FAR}", BAD), ("comment", f"a(b)@{FAR}", BAD), ("backslash", f"a\\b@{FAR}", BAD), ("colon", f"a:b@{FAR}", BAD), ("empty quotes", f"\"\"@{FAR}", "250|50|55"), ("open quote", f"\"a@{FAR}", BAD), ("quote in the middle", f"a\"b\"c@{FAR}", BAD), ("null", "", BAD), ("control octet", f"a\x01b@{FAR}", BAD), ("DEL", f"a\x7fb@{FAR}", BAD), ("fraction slash", "p@out\u2044.example", BAD), ("full-width at", "p\uff20out.example", BAD), ("RTL override", f"a\u202eb@{FAR}", BAD), ("UTF-8 without SMTPUTF8", f"pät@{FAR}", BAD)):
        if wanted is not None:
            add("medium", E + "4.5.3.1", f"recipient: {name}", "mail", (f"RCPT TO:<{form}>", wanted))
    add("medium", "RFC 6531 3.3", "UTF-8 recipient with SMTPUTF8", "auth", (SENDER + " SMTPUTF8", "250"), (f"RCPT TO:<pät@{FAR}>", "250"), ("RCPT TO:<pat@bücher.example>", "250"))
    add("high", "RFC 6531 3.3", "invalid UTF-8", "auth", (SENDER + " SMTPUTF8", "250"), (b"RCPT TO:<p\xff@out.example>\r\n", BAD))
    add("high", "RFC 6531 3.3", "overlong UTF-8", "auth", (SENDER + " SMTPUTF8", "250"), (b"RCPT TO:<p\xc0\xaf@out.example>\r\n", BAD))
    for line in ("RCPT", "RCPT TO", "RCPT TO:", "RCPT TO:<", "RCPT TO:<>", f"RCPT TO:pat@{FAR}", f"RCPT TO <pat@{FAR}>", f"RCPT FROM:<pat@{FAR}>", f"RCPT TO:\"Pat\" <pat@{FAR}>", f"RCPT TO:<pat@{FAR}>,<b@{FAR}>", f"RCPT TO:\t<pat@{FAR}>"):
        add("medium", E + "4.1.1.3", f"syntax {line}", "mail", (line, BAD))
    # BDAT framing
    for name, steps in {
        "0 LAST after nothing": [("BDAT 0 LAST", "503|554")],
        "with no recipient": [(SENDER, "250"), (b"BDAT 4\r\nQUIT", "503|554")],
        "octets of a refused chunk are no commands": [(b"BDAT 6\r\nQUIT\r\n", "503|554")],
        "no size": [("BDAT", "501")], "negative": [("BDAT -1", "501")], "plus": [("BDAT +1", "501")], "hex": [("BDAT 0x10", "501")], "LAST alone": [("BDAT LAST", "501")],
    }.items():
        add("high", "RFC 3030 2", f"BDAT {name}", "auth", *steps)
    for name, octets in {"2^32": b"BDAT 4294967296999 LAST\r\n", "2^64": b"BDAT 18446744073709551616 LAST\r\n", "2^64+4": b"BDAT 18446744073709551620\r\nQUIT", "leading zeros": b"BDAT 00000000000004 LAST\r\nQUIT", "junk behind the number": b"BDAT 4x\r\nQUIT"}.items():
        add("high", "RFC 3030 2", f"BDAT size {name} ends the session", "rcpt", (octets, "50"), (b"", "close"))
    add("high", "RFC 3030 2", "BDAT with another word is skipped", "rcpt", (b"BDAT 6 FIRST\r\nQUIT\r\n", "501"))
    add("high", "RFC 3030 3", "DATA after BDAT", "rcpt", (b"BDAT 4\r\nabcd", "250"), ("DATA", "503"))
    add("high", "RFC 3030 3", "RCPT after BDAT", "rcpt", (b"BDAT 4\r\nabcd", "250"), (f"RCPT TO:<b@{FAR}>", "503"))
    add("high", "RFC 3030 3", "MAIL after BDAT", "rcpt", (b"BDAT 4\r\nabcd", "250"), (SENDER, "503"))
    add("high", "RFC 3030 3", "RSET between chunks", "rcpt", (b"BDAT 4\r\nabcd", "250"), ("RSET", "250"), (b"BDAT 4 LAST\r\nQUIT", "503"))
    add("high", "RFC 3030 2", "an error, then more chunks", "rcpt", (b"BDAT 4\r\na\nbc", "550|250"), (b"BDAT 2 LAST\r\n\r\n", "503|550"))
    add("high", "RFC 3030 2", "too large in chunks", "rcpt", (b"BDAT 2200000\r\n" + b"x" * 60 + b"\r\n" + b"y" * 2199938, "552|550"), (b"BDAT 0 LAST\r\n", "503|552|550"))
    add("medium", "RFC 3030 2", "zero octets and LAST", "rcpt", ("BDAT 0 LAST", "550|250"))
    return rows
