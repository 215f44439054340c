#!/usr/bin/env python3
"""Masks card numbers and credentials in all that goes on, and lets nothing of /private go on."""

import binascii
import re
import sys

CARD = re.compile(rb"\b(?:\d[ -]?){12,15}(\d{4})\b")
CREDENTIAL = re.compile(rb"(?im)^((?:authorization|cookie|set-cookie):)[^\r\n]*")


def change(kind, head, body):
    """What goes on of a message: its head with the empty line, and its body; None, where nothing does."""
    if kind == b"1" and head.split(b" ", 2)[1].startswith(b"/private"):
        return None
    # A Content-Length that does not fit any more is mended.
    return CREDENTIAL.sub(rb"\1 masked", head) + CARD.sub(rb"****\1", body)


for line in sys.stdin.buffer:
    # The first line tells what it is (1 request, 2 response, 3 a target's answer), its id, when it was and how long it took.
    meta, message = binascii.unhexlify(line.strip()).split(b"\n", 1)
    head, _, body = message.partition(b"\r\n\r\n")
    changed = change(meta[:1], head + b"\r\n\r\n", body)
    if changed is not None:
        sys.stdout.buffer.write(binascii.hexlify(meta + b"\n" + changed) + b"\n")
        sys.stdout.buffer.flush()
