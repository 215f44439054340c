"""Prints each record of a recording as a JSON object; without a file, only looks whether it could.

With --kinds before it, prints each kind of record once, by what it says but for where and when, with how many there are of it."""

import json
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone

from fastavro import read, reader

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def plain(value):
    """What JSON has no type for, in one it has: bytes as text with one character each, times as microseconds."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, datetime):
        return (value - EPOCH) // timedelta(microseconds=1)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def kind(record):
    """What tells a kind from others."""
    request, response = record["request"], record["response"]
    message = lambda message: (message["body"], message["body_length"], message["truncated"])
    answer = (response["status"], *message(response)) if response else None
    return (record["aborted"], request["method"], request["target"], *message(request), answer)


codec = read.BLOCK_READERS.get("zstandard")
if codec is None or "missing" in getattr(codec, "__qualname__", ""):
    sys.exit("no zstandard")
# Whatever the locale. Bodies of megabytes are read several times as fast as with escapes.
sys.stdout.reconfigure(encoding="utf-8")
kinds = sys.argv[1:2] == ["--kinds"]
for path in sys.argv[1 + kinds:]:
    with open(path, "rb") as file:
        if kinds:
            for key, count in Counter(map(kind, reader(file))).items():
                aborted, method, target, *request, answer = key
                print(json.dumps({"aborted": aborted, "method": method, "target": target, "count": count,
                                  "request": plain(request), "response": plain(list(answer)) if answer else None}))
        else:
            for record in reader(file):
                print(json.dumps(plain(record), ensure_ascii=False))
