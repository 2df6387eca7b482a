#!/usr/bin/env python3
"""The abuse suite: the real program on loopback as a black box, told what no honest client tells.

usage: run.py WARDPOST [WORD]     (only cases whose name has the word)
Standard library only, and the `openssl` command for a certificate. Prints `# N checks` at the end and ends non-zero when a
case failed; each has a severity and the section it stands on.
"""
import collections, concurrent.futures, pathlib, sys, tempfile, time
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import content, dialogue, load
from gateway import Gateway, Sink, Wrong, expect, start


def play(gateway, state, steps):
    with_tls = state == "relay+tls"
    client = start(gateway, "relay" if with_tls else state)
    with client:
        if with_tls:
            client.ask("STARTTLS", "220")
            client.tls().ehlo()
        ended = False
        for line, wanted in steps:
            if wanted is None:
                if line: client.send(line)
            else: ended = client.ask(line, wanted) == "close" or ended
        if ended or any(wanted is None and not line for line, wanted in steps): return
        last = steps[-1][0]
        if isinstance(last, str) and last.upper().startswith("QUIT") or state == "raw": return
        bare = isinstance(last, bytes) and (b"\n" in last.replace(b"\r\n", b"") or b"\r" in last.replace(b"\r\n", b"") or b"\0" in last)
        if last == "BDAT" or bare or (isinstance(last, str) and last.startswith("BDAT ") and not last[5:].isdigit()):
            # The session may end, but what stood behind must not have been run.
            client.send("NOOP")
            client.expect("250|close|421")
            return
        client.silence()


def main():
    program, word = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wardpost-abuse-") as folder:
        sink = Sink(folder)
        gateway = Gateway(program, folder, sink, 'max_message = "2MiB"')
        gateway.add_user("other@practice.example")
        table = []
        for severity, section, name, state, steps in dialogue.commands() + dialogue.addresses():
            table.append((severity, section, f"{name} [{state}]", lambda state=state, steps=steps: play(gateway, state, steps)))
        together = table + [*content.smuggling(gateway, sink), *content.framing(gateway, sink), *content.forgery(gateway, sink), *load.tls(gateway, sink), *load.callers(gateway, sink), *content.reports(gateway, sink)]
        alone = [*load.guard(gateway, sink), *load.floods(gateway, sink), *load.places(gateway, sink), *content.bomb_cases(gateway, sink)]
        failed, passed = collections.Counter(), 0

        def one(row):
            severity, section, name, test = row
            try:
                test()
            except Exception as wrong:  # whatever it is, the other cases go on
                return severity, section, name, f"{type(wrong).__name__}: {wrong}"
            return severity, section, name, None

        def note(outcome):
            nonlocal passed
            severity, section, name, wrong = outcome
            if wrong is None: passed += 1; return
            failed[severity] += 1
            print(f"not ok {severity:8} {name} ({section}): {wrong[:400]}", flush=True)

        wanted = lambda rows: [row for row in rows if word in row[2]]
        try:
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                for outcome in pool.map(one, wanted(together)): note(outcome)
            print(f"# {passed} cases side by side, {time.monotonic() - began:.0f} s", flush=True)
            for row in wanted(alone): note(one(row))

            def after():
                expect(gateway.process.poll() is None, "the gateway has ended")
                expect(gateway.metric("wardpost_panics_total") == 0, "a panic")
                expect(not sink.faults, f"at the receiving host: {sink.faults[:5]}")
                expect(not any("smuggled" in to for _, rcpt, _ in sink.messages for to in rcpt), "a smuggled message")
                log = (gateway.folder / "log").read_text(errors="replace")
                expect("ZEBRA" not in log and gateway.password not in log and "smuggled" not in log, "the log repeats what was said")
            note(one(("critical", "all", "no panic, nothing bare or in clear at the receiving host, nothing in the log", after)))
        finally:
            gateway.stop()
    print(f"# {passed} passed; failed: " + ", ".join(f"{severity} {failed[severity]}" for severity in ("critical", "high", "medium", "low")) + f"; {time.monotonic() - began:.0f} s")
    print(f"# {passed} checks")
    return 1 if sum(failed.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
