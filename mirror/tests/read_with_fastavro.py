"""Reads a recording with fastavro, an Avro implementation that is not ours, for fastavro.rs.

    read_with_fastavro.py probe             exits 0 where fastavro and its zstd codec are there
    read_with_fastavro.py dump FILE         prints one JSON object a record
    read_with_fastavro.py rewrite IN OUT CODEC  reads IN and writes its records to OUT

Needs `pip install 'fastavro[zstandard]'`: the extra brings backports.zstd, which Python before 3.14 needs for the codec.
"""

import json
import sys
from datetime import datetime, timedelta, timezone

import fastavro

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def plain(value):
    """What JSON has no type for, in one it has: bytes as hexadecimal digits, times as microseconds."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return (value - EPOCH) // timedelta(microseconds=1)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def probe():
    from fastavro import read

    reader = read.BLOCK_READERS.get("zstandard")
    sys.exit(0 if reader and "missing" not in getattr(reader, "__qualname__", "") else 3)


def dump(path):
    with open(path, "rb") as file:
        for record in fastavro.reader(file):
            print(json.dumps(plain(record)))


def rewrite(source, target, codec):
    with open(source, "rb") as file, open(target, "wb") as out:
        reader = fastavro.reader(file)
        # Small blocks, so that there are several.
        fastavro.writer(out, reader.writer_schema, reader, codec=codec, sync_interval=2000)


if __name__ == "__main__":
    {"probe": probe, "dump": dump, "rewrite": rewrite}[sys.argv[1]](*sys.argv[2:])
