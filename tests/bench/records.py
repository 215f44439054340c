"""Counts what is in recordings, by programs that are not ours: fastavro for Avro's, a search for GoReplay's.

Run with files of Avro, which takes a Python with fastavro: prints the counts of their records as a JSON object.
"""

from __future__ import annotations

import json
import mmap
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Dict, List

from tools import Failure

# A record of a .gor file: its type and id, after the separator that ends the one before.
GOR_RECORD = re.compile("(?:^|\n🐵🙈🙉\n)([12]) [0-9a-f]+ ".encode())


def in_avro(python: str, paths: List[Path]) -> Dict[str, int]:
    """All records, and those that are whole: an answer of 2xx, both bodies there, the exchange at its end."""
    done = subprocess.run([python, __file__, *map(str, paths)], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"fastavro cannot read {paths}:\n{done.stderr}")
    return json.loads(done.stdout)


def in_gor(paths: List[Path]) -> Dict[str, int]:
    """Requests and responses; whole are as many as there are of both."""
    types: Counter = Counter()
    for path in paths:
        if path.stat().st_size > 0:  # nothing cannot be mapped
            with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
                types.update(found[1] for found in GOR_RECORD.finditer(text))
    return {"records": types.total(), "whole": min(types[b"1"], types[b"2"])}


def main() -> None:
    from fastavro import reader  # only here: the bench itself runs without

    records = whole = 0
    for path in sys.argv[1:]:
        with open(path, "rb") as file:
            for record in reader(file):
                records += 1
                whole += is_whole(record)
    print(json.dumps({"records": records, "whole": whole}))


def is_whole(record: dict) -> bool:
    request, response = record["request"], record["response"]
    return (
        record["aborted"] is None
        and response is not None
        and response["status"] // 100 == 2
        and all(len(side["body"]) == side["body_length"] and not side["truncated"] for side in (request, response))
    )


if __name__ == "__main__":
    main()
