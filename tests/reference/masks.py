"""The mask by its definition: token t is allowed after a prefix if the prefix with t's bytes can still be completed."""

from __future__ import annotations

from collections.abc import Sequence

from structgen.automata.ir import Expr
from tests.reference.matcher import State, machine


def naive_mask(expr: Expr, prefix: bytes, token_bytes: Sequence[bytes]) -> set[int]:
    """Ids of the tokens with at least one byte that may follow the prefix. The end of the text is not a token here:
    it is allowed exactly if the prefix matches."""
    m = machine(expr)
    after: dict[bytes, State] = {b"": m.read(prefix)}

    def state_after(data: bytes) -> State:
        if data not in after:
            after[data] = m.step(state_after(data[:-1]), data[-1])
        return after[data]

    return {i for i, data in enumerate(token_bytes) if data and m.is_viable(state_after(data))}
