"""What the command line says while it works: lines on stderr, so that stdout carries the result alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Progress"]


class Progress:
    """Lines on stderr, or none if quiet."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet

    def say(self, message: str) -> None:
        if not self._quiet:
            print(f"structgen: {message}", file=sys.stderr, flush=True)

    @contextmanager
    def step(self, message: str) -> Iterator[None]:
        """Says what begins and, if it took a noticeable time, how long it took."""
        self.say(f"{message} ...")
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        if seconds > 0.5:
            self.say(f"{message}: {seconds:.1f} s")
