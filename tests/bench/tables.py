"""Samples to the cells of a table in Markdown."""

from __future__ import annotations

import statistics
from typing import Any, List, Optional, Sequence

from backend import WORKLOADS
from machine import Sample


def groups(samples: List[Sample], name: str) -> List[tuple]:
    """Each (workload, value of `name`) that occurs, in the order of WORKLOADS and then of the samples."""
    values = dict.fromkeys(sample[name] for sample in samples)
    return [
        (workload, value)
        for workload in present_workloads(samples)
        for value in values
        if having(samples, workload=workload.key, **{name: value})
    ]


def present_workloads(samples: List[Sample]) -> list:
    return [workload for workload in WORKLOADS if having(samples, workload=workload.key)]


def having(samples: List[Sample], **wanted: Any) -> List[Sample]:
    return [sample for sample in samples if all(sample.get(name) == value for name, value in wanted.items())]


def median(samples: List[Sample], name: str) -> Optional[float]:
    values = [sample[name] for sample in samples if sample[name] is not None]
    return statistics.median(values) if values else None


def total(samples: List[Sample], name: str) -> int:
    return sum(sample[name] for sample in samples)


def ratio(over: List[Sample], under: List[Sample], name: str) -> str:
    by_round = {sample["round"]: sample[name] for sample in under}
    ratios = [
        sample[name] / by_round[sample["round"]] for sample in over if sample[name] and by_round.get(sample["round"])
    ]
    if not ratios:
        return "–"
    spread = f" ({min(ratios):.2f}–{max(ratios):.2f})" if len(ratios) > 1 else ""
    return f"{statistics.median(ratios):.2f}{spread}"


def number(value: Optional[float], digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value: Optional[float]) -> str:
    return "–" if value is None else f"{value:.0%}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
