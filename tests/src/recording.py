"""Prints each record of a recording as a JSON object; without a file, only looks whether it could."""

import json
import sys
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


codec = read.BLOCK_READERS.get("zstandard")
if codec is None or "missing" in getattr(codec, "__qualname__", ""):
    sys.exit("no zstandard")
# Whatever the locale. Bodies of megabytes are read several times as fast as with escapes.
sys.stdout.reconfigure(encoding="utf-8")
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        for record in reader(file):
            print(json.dumps(plain(record), ensure_ascii=False))
