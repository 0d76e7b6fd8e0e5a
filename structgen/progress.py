"""What the command line says while it works: lines on stderr, so that stdout carries the result alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["Progress", "harmless", "tell"]


def tell(message: str) -> None:
    """A message on stderr, if there is one, with nothing in it that a terminal would obey."""
    if sys.stderr is not None:  # print would go to stdout
        with suppress(OSError):
            print("".join(map(harmless, message)), file=sys.stderr, flush=True)


def harmless(char: str) -> str:
    """A character as it can be printed anywhere."""
    return char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()


class Progress:
    """Lines on stderr, or none if quiet."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet

    def say(self, message: str) -> None:
        if not self._quiet:
            tell(f"structgen: {message}")

    @contextmanager
    def step(self, message: str) -> Iterator[None]:
        """Says what begins and, if it took a noticeable time, how long it took."""
        self.say(f"{message} ...")
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        if seconds > 0.5:
            self.say(f"{message}: {seconds:.1f} s")
