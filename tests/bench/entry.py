"""How a bench is begun and ended: what its arguments may be, and that whatever ends it, nothing it started goes on."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Callable, List

import tools


def carry_out(run: Callable[[], int]) -> int:
    """The exit code. A signal stops everything in order."""
    end_in_order_on_signals()
    try:
        return run()
    except tools.Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted, everything is stopped", file=sys.stderr)
        return 130


def end_in_order_on_signals() -> None:
    def interrupt(*_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second one must not break the cleaning up
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


def list_of(known: List[str]) -> Callable[[str], List[str]]:
    def parse(text: str) -> List[str]:
        chosen = [name for name in text.split(",") if name and name != "none"]
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected some of {','.join(known)}, or none")
        return chosen

    return parse


def program(path: str) -> str:
    """A program's path, from wherever it is run."""
    if not os.access(path, os.X_OK) or not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"{path}: not a program")
    return str(Path(path).resolve())


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
