"""What a running mirror tells of itself at /metrics, and in the table that it prints at its end."""

from __future__ import annotations

import http.client
import re
from typing import Dict, List

from tools import Failure


class Metrics:
    def __init__(self, port: int):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"mirror's /metrics: {error}")
        finally:
            connection.close()
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
        self.samples: Dict[str, float] = {name: float(value) for name, value in samples}

    def sum(self, name: str, label: str = "") -> int:
        """Of all samples of the name, or of those with this label, written as in sink="record"."""
        found = (value for key, value in self.samples.items() if key.split("{")[0] == name and label in key)
        return round(sum(found))


def summary(output: str) -> Dict[str, Dict[str, object]]:
    """The table printed at the end: by sink, what was offered, delivered, dropped and failed, and the reasons."""
    lines = output.splitlines()
    heads = [at for at, line in enumerate(lines) if re.match(r"sink +offered ", line)]
    if not heads:
        raise Failure(f"mirror printed no sums:\n{output[-2000:]}")
    return dict(map(sums, lines[heads[-1] + 1 :]))


def sums(line: str) -> tuple:
    name, *words = line.split(None, 5)
    names: List[str] = ["offered", "delivered", "dropped", "failed"]
    return name, {**dict(zip(names, map(int, words))), "reasons": words[4] if len(words) > 4 else ""}
