#!/usr/bin/env python3
"""Checks an export of a Wardpost decision log, or the proof of one delivery, without Wardpost and with Python's standard library only.

    verify.py [--key BASE64] [--head FILE] EXPORT
    verify.py [--key BASE64] PROOF

--key   the gateway's verifying key, as you got it from the practice (base64 of 32 bytes)
--head  a signed head that was kept elsewhere; the export must contain what it speaks of

Exit code 0: good. 1: something is wrong. 2: usage, or a file cannot be read. The format is described in docs/AUDIT-FORMAT.md.
"""
import base64
import binascii
import hashlib
import json
import sys

# --- Ed25519 verification (RFC 8032, section 5.1.7; after the reference code in its section 6) ---

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar > 0:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def recover_x(y, sign):
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P != 0:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P != 0:
        return None
    return P - x if (x & 1) != sign else x


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def decompress(data):
    number = int.from_bytes(data, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def equal(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def is_signed(key, message, signature):
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r = decompress(key), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    return equal(multiply(s, BASE), add(r, multiply(h, a)))


# --- the export ---


class Wrong(Exception):
    pass


def no_duplicates(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name appears twice")
    return result


def load(text, names, optional=()):
    try:
        value = json.loads(text, object_pairs_hook=no_duplicates)
    except ValueError as error:
        raise Wrong("a line is no JSON: %s" % error)
    if not isinstance(value, dict) or not set(names) <= set(value) <= set(names) | set(optional):
        raise Wrong("a line has other fields than it should")
    for name in names:
        kind = int if name in ("seq", "from", "at", "size") else str
        if type(value[name]) is not kind:
            raise Wrong("the field %s is of another kind" % name)
    return value


def decode(text):
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise Wrong("a key or signature is no base64")
    if base64.b64encode(data).decode("ascii") != text:
        raise Wrong("a key or signature is not written in the one way there is")
    return data


def open_head(text):
    signed = load(text, ("head", "public_key", "signature"))
    head = load(signed["head"], ("format", "size", "last_hash", "previous_head", "at", "key_id"))
    key, signature = decode(signed["public_key"]), decode(signed["signature"])
    if head["format"] != "wardpost-head-1":
        raise Wrong("a head is of an unknown format")
    if head["key_id"] != hashlib.sha256(key).hexdigest()[:16]:
        raise Wrong("a head names another key than its own")
    if not is_signed(key, b"wardpost audit head 1\n" + signed["head"].encode("utf-8"), signature):
        raise Wrong("the signature of a head does not fit")
    return head, key


def verify(data, expected_key=None, held_head=None):
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise Wrong("the file is not UTF-8")
    if not data.endswith(b"\n"):
        raise Wrong("the end of the file is missing")
    lines = data[:-1].split(b"\n")
    if len(lines) < 3:
        raise Wrong("this is no export of a Wardpost log, or its end is missing")
    start = load(lines[0], ("format", "export", "from", "previous_hash", "at"))
    if start["format"] != "wardpost-export-1":
        raise Wrong("this is no export of a known format")

    head, key = open_head(lines[-2])
    seal = load(lines[-1], ("export_signature",))
    if json.dumps(seal, separators=(",", ":")).encode("utf-8") != lines[-1]:
        raise Wrong("the last line is not written in the one way there is")
    signed = data[: len(data) - len(lines[-1]) - 1]
    message = b"wardpost audit export 1\n" + hashlib.sha256(signed).digest()
    if not is_signed(key, message, decode(seal["export_signature"])):
        raise Wrong("the signature over the whole export does not fit")
    if expected_key is not None and expected_key != key:
        raise Wrong("it is signed by another key than the expected one")
    held = None
    if held_head is not None:
        held, held_key = open_head(held_head.strip())
        if held_key != key:
            raise Wrong("the head you hold is signed by another key")

    try:
        previous = bytes.fromhex(start["previous_hash"])
    except ValueError:
        raise Wrong("the first line names no hash")
    if len(previous) != 32 or start["from"] < 1 or (start["from"] == 1 and previous != bytes(32)):
        raise Wrong("the first line does not fit a log")
    last = start["from"] - 1
    held_seen = held is None or (held["size"] == last and held["last_hash"] == previous.hex())
    for line in lines[1:-2]:
        entry = load(line, ("seq", "record", "hash"), ("pseudonyms",))
        if entry["seq"] != last + 1:
            raise Wrong("entry %d stands where %d belongs" % (entry["seq"], last + 1))
        last = entry["seq"]
        record = entry["record"].encode("utf-8", "surrogatepass")
        previous = hashlib.sha256(b"wardpost audit entry 1\n" + previous + last.to_bytes(8, "big") + record).digest()
        if entry["hash"] != previous.hex():
            raise Wrong("entry %d does not match its hash: it, or one before it, was changed" % last)
        if held is not None and held["size"] == last and held["last_hash"] == entry["hash"]:
            held_seen = True
    if head["size"] != last:
        raise Wrong("the head speaks of %d entries, the export ends with entry %d" % (head["size"], last))
    if head["last_hash"] != previous.hex():
        raise Wrong("the last entry is not the one that the head speaks of")
    if not held_seen:
        raise Wrong("the export does not contain what the head you hold speaks of")
    return start["from"], last, head


# --- the proof of one delivery ---

FACTS = ("level", "method", "host", "tls", "cipher", "chain_sha256", "plan_sha256")


def unhex(text):
    if len(text) != 64 or any(c not in "0123456789abcdef" for c in text):
        raise Wrong("a hash or salt is not 64 lower-case hexadecimal digits")
    return bytes.fromhex(text)


def parse(text):
    try:
        value = json.loads(text, object_pairs_hook=no_duplicates)
    except ValueError as error:
        raise Wrong("no JSON: %s" % error)
    if not isinstance(value, dict):
        raise Wrong("no JSON object")
    return value


def verify_delivery(data, expected_key=None):
    """Returns the statement of a proof (docs/AUDIT-FORMAT.md, "Proof of one delivery")."""
    if not data.endswith(b"\n"):
        raise Wrong("the end of the file is missing")
    signed = load(data[:-1], ("proof", "public_key", "signature"))
    written = json.dumps(signed, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    if written != data[:-1]:
        raise Wrong("the line is not written in the one way there is")
    key = decode(signed["public_key"])
    if not is_signed(key, b"wardpost audit proof 1\n" + signed["proof"].encode("utf-8"), decode(signed["signature"])):
        raise Wrong("the signature does not fit")
    if expected_key is not None and expected_key != key:
        raise Wrong("it is signed by another key than the expected one")
    stated = parse(signed["proof"])
    if stated.get("format") != "wardpost-proof-1" or not stated.get("entries"):
        raise Wrong("this is no proof of a known format")
    if stated["key_id"] != hashlib.sha256(key).hexdigest()[:16]:
        raise Wrong("the proof names another key than its own")
    pseudonym = stated["entries"][0]["recipient_pseudonym"]
    for entry in stated["entries"]:
        seq, text = entry["seq"], entry["record"].encode("utf-8")
        message = b"wardpost audit entry 1\n" + unhex(entry["previous_hash"]) + seq.to_bytes(8, "big") + text
        if hashlib.sha256(message).hexdigest() != entry["hash"]:
            raise Wrong("entry %d does not match its hash" % seq)
        record = parse(text)
        opened = b"wardpost audit pseudonym 1\n" + unhex(entry["recipient_salt"]) + b"recipient\n"
        opened = hashlib.sha256(opened + entry["recipient_pseudonym"].encode("utf-8")).hexdigest()
        if record.get("recipient") != opened or entry["recipient_pseudonym"] != pseudonym:
            raise Wrong("entry %d does not speak of this recipient" % seq)
        if record.get("message") != stated["message"]:
            raise Wrong("entry %d does not speak of this message" % seq)
    if record["event"] != "delivered" or record["at"] != stated["delivered_at"]:
        raise Wrong("the last entry is not this delivery")
    if record["required"] != stated["required"] or any(record["proof"][f] != stated["shown"][f] for f in FACTS):
        raise Wrong("the statement is not what the entries say")
    return stated


def main(arguments):
    key = held = path = None
    rest = list(arguments)
    if rest in (["--help"], ["-h"]):
        print(__doc__)
        return 0
    while rest:
        word = rest.pop(0)
        if word == "--key" and rest:
            key = decode(rest.pop(0))
        elif word == "--head" and rest:
            with open(rest.pop(0), encoding="utf-8") as file:
                held = file.read()
        elif path is None and not word.startswith("--"):
            path = word
        else:
            path = None
            break
    if path is None:
        print(__doc__, file=sys.stderr)
        return 2
    with open(path, "rb") as file:
        data = file.read()
    if data.startswith(b'{"proof":'):
        stated = verify_delivery(data, key)
        print("good: this is as the gateway signed it")
        for label in ("recipient", "message", "delivered_at", "required"):
            print("%s: %s" % (label, stated[label]))
        for label in FACTS:
            print("%s: %s" % (label, stated["shown"][label]))
        for entry in stated["entries"]:
            print("log entry %d: %s" % (entry["seq"], entry["hash"]))
        print(stated["limits"])
        if key is None:
            print("the key was not compared: give the one you know, or anybody may have signed this")
        return 0
    first, last, head = verify(data, key, held)
    if last < first:
        print("good: there are no entries, and the head in this file says the same")
    else:
        print("good: entries %d to %d are unchanged and complete up to the head in this file" % (first, last))
    if first > 1:
        print("entries before %d are not in this file and were not checked" % first)
    print("head: %d entries, signed by key %s" % (head["size"], head["key_id"]))
    if key is None and held is None:
        print("the key was not compared: give the one you know with --key, or anybody may have signed this")
    if held is None:
        print("no head kept elsewhere was compared: give one with --head")
    print("nothing is proven against the holder of the signing key about what came after the head you hold")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Wrong as wrong:
        print("NOT GOOD: %s" % wrong)
        sys.exit(1)
    except OSError as error:
        print("cannot read %s: %s" % (error.filename, error.strerror), file=sys.stderr)
        sys.exit(2)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        print("NOT GOOD: a field is missing or is not what the format has there")
        sys.exit(1)
