"""Data as DNA: words over A, C, G, T without long runs and with balanced GC content, as a code between bytes and strands.

Strands with long runs of one base, or with few or many of G and C, are read with more errors. The strands that are allowed are
a regular language; in lexicographic order, the i-th of them stands for the number i (enumerative coding; with runs alone, these
are the D-LOCO codes of Irimagzi, Uslan and Hareedy, arXiv 2311.08325). A strand of n bases holds floor(log2(number of
strands)) bits. Strands are read one by one, so nothing is asked of the bases where two of them meet.

    python examples/dna_loco.py "Hello, world" --length 60 --max-run 3 --gc 0.4 0.6
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from math import ceil, floor, log2

import structgen as sg


def strands(length: int, max_run: int, gc: tuple[float, float]) -> sg.Words:
    """The strands of this many bases, no base more than ``max_run`` times in a row, a share of G and C within ``gc``."""
    low, high = ceil(gc[0] * length - 1e-9), floor(gc[1] * length + 1e-9)
    long_run = "|".join(f"{base}{{{max_run + 1}}}" for base in "ACGT")
    constraint = sg.regex(f"(?!.*(?:{long_run}))(?:[AT]*[CG]){{{low},{high}}}[AT]*")
    return sg.words(constraint, length, length)


def encode(data: bytes, code: sg.Words) -> list[str]:
    """The bytes as strands: a one and all their bits, in blocks of as many bits as a strand holds."""
    size = bits_per_strand(code)
    number, found = int.from_bytes(b"\1" + data, "big"), []
    while number:
        found.append(code.unrank(number & ((1 << size) - 1)).decode())
        number >>= size
    return found


def decode(found: Sequence[str], code: sg.Words) -> bytes:
    """The bytes that were encoded."""
    size = bits_per_strand(code)
    number = sum(code.rank(strand) << i * size for i, strand in enumerate(found))
    return number.to_bytes((number.bit_length() + 7) // 8, "big")[1:]


def bits_per_strand(code: sg.Words) -> int:
    return code.count().bit_length() - 1


def capacity(max_run: int) -> float:
    """Bits per base of long strands whose runs are bounded. A strand is a sequence of runs, each of another base than the one
    before, so x^-1 + ... + x^-max_run = 1/3 for the growth x of their number; bounds on GC around a half change nothing."""
    low, high = 3.0, 4.0
    for _ in range(100):
        x = (low + high) / 2
        low, high = (low, x) if sum(x**-i for i in range(1, max_run + 1)) < 1 / 3 else (x, high)
    return log2(low)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Text as DNA strands.")
    parser.add_argument("text", nargs="?", default="Hello, world")
    parser.add_argument("--length", type=int, default=60, help="bases of a strand")
    parser.add_argument("--max-run", type=int, default=3, help="a base comes at most so often in a row")
    parser.add_argument("--gc", type=float, nargs=2, default=(0.4, 0.6), metavar=("LOW", "HIGH"), help="bounds on the share of G and C")
    options = parser.parse_args(arguments)
    code = strands(options.length, options.max_run, tuple(options.gc))
    found = encode(options.text.encode(), code)
    print(*found, sep="\n")
    print(f"{code.count()} strands, {bits_per_strand(code)} bits each")
    print(f"rate {bits_per_strand(code) / options.length:.4f} bits per base, capacity {capacity(options.max_run):.4f}")
    print(decode(found, code).decode())


if __name__ == "__main__":
    main()
