r"""A regular expression that no automaton can have, a look-ahead and a back-reference, as a predicate: how many calls per token, how good?

    python -m benchmarks.sampling.backreference

The pattern (`PATTERN`) is an element that is closed by its own name and holds a digit. `sg.regex` refuses it; the ``regex`` package tells
for a prefix whether a match may begin so (``partial=True``). The model is a trigram over the 4,096 tokens of the embedded model, learnt
from such elements; it forgets the name before it has to repeat it. Writes its table; about two minutes.
"""

from __future__ import annotations

import re

import regex

import structgen as sg
from benchmarks.sampling.models import NGram, tokenizer
from benchmarks.sampling.table import ANYTHING, Row, Task, measure, publish_table
from structgen.sampling import ARS, AWRS, SMC, Masking, SumAndSample, Target

PATTERN = r"<([a-z]+)>(?=[A-Za-z ,.-]*\d)[A-Za-z0-9 ,.-]+</\1>"
VALUES = {
    "name": ["Ada Lovelace", "Alan Turing", "Grace Hopper", "Emmy Noether"],
    "born": ["1815-12-10", "23 June 1912", "December 9, 1906", "in Erlangen, 1882"],
    "city": ["London", "New York, NY 10001", "Warsaw", "2300 Leiden", "Ulm"],
    "price": ["12.50", "980", "7 pounds", "free"],
    "street": ["Baker Street 221", "High Street", "12 Main Road", "Mill Lane 7"],
    "phone": ["555-0142", "0131 555 0188", "none"],
}
MAX_TOKENS = 40

MATCH = sg.potential(
    lambda text: regex.fullmatch(PATTERN, text, partial=True) is not None, lambda text: regex.fullmatch(PATTERN, text) is not None
)
ROWS = [
    Row("the model alone", ANYTHING, SMC(400, step=AWRS(), ess_threshold=0)),
    Row("masking", MATCH, Masking(4), is_weighted=False),
    Row("masking, its tokens drawn by AWRS", MATCH, SMC(400, step=AWRS(), ess_threshold=0), is_weighted=False),
    Row("SMC(50), AWRS", MATCH, SMC(50, step=AWRS()), 8),
    Row("SMC(50), head of 4 and a sample", MATCH, SMC(50, step=SumAndSample(head=4)), 8),
    Row("ARS(400)", MATCH, ARS(400)),
]


def main() -> None:
    model = NGram([f"<{name}>{value}</{name}>" for name, values in VALUES.items() for value in values], order=3)
    columns = {"re matches": lambda text: re.fullmatch(PATTERN, text) is not None}
    task = Task(lambda constraint: Target(model, constraint, tokenizer(), MAX_TOKENS), columns)
    publish_table("backreference", "python -m benchmarks.sampling.backreference", columns, [measure(row, [task]) for row in ROWS])


if __name__ == "__main__":
    main()
