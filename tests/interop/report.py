#!/usr/bin/env python3
"""A report (RFC 3464) as Python's own e-mail package reads it: JSON of its structure and fields."""
import email
import email.policy
import json
import sys

report = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
words, status, original = report.get_payload()
defects = [repr(defect) for part in report.walk() for defect in part.defects]
blocks = [[[name.lower(), str(value)] for name, value in block.items()] for block in status.get_payload()]
print(json.dumps({
    "type": report.get_content_type(),
    "report_type": report.get_param("report-type"),
    "head": {name.lower(): str(value) for name, value in report.items()},
    "kinds": [part.get_content_type() for part in report.get_payload()],
    "words": words.get_content(),
    "message": dict(blocks[0]),
    "recipients": [dict(block) for block in blocks[1:]],
    "fields": [[name.lower() for name, _ in block] for block in blocks],
    "original": [line for line in original.get_content().splitlines() if line],
    "defects": defects,
}))
