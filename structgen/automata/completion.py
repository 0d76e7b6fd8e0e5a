"""How a text can be finished in few tokens: shortest completions of states, and what each allowed token would leave to be done.

The *shortest completion* of a situation is the shortest text that finishes the output from there, of several the first in
lexicographic order. Texts are ordered so (shortlex) without exception, hence what is left of a shortest completion after its
first token is the shortest completion of the situation reached: whoever keeps to tokens whose shortest completion
still fits the budget always finds one. How many tokens a completion takes is how few of the vocabulary spell it.

Shortest completions of instructions are a least fixpoint, found in shortlex order (Knuth, A generalization of Dijkstra's algorithm,
1977); those of D-states, stacks and states are made of them. The tokens of a state are followed as masks follow them
(_mask_kernels), but kept apart by where they end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from structgen.automata import _arena as A
from structgen.automata import _completion_kernels as C
from structgen.automata import _names_kernels as N
from structgen.automata import _pushdown_kernels as P
from structgen.automata import _state_kernels as K
from structgen.automata import _trie_kernels as T
from structgen.automata.analysis import children
from structgen.automata.chardfa import CharDfa
from structgen.automata.engine import Engine
from structgen.automata.ir import Choice as Either
from structgen.automata.ir import Expr, Item, Quoted, Repeat, Seq, Unique
from structgen.errors import LimitExceeded, StructgenError

__all__ = ["Choice", "Completions"]

MAX_INSTRUCTIONS = 1_000_000
MAX_TEXT = 100_000
"""Bytes of a shortest completion."""
MAX_STEPS = 2_000
"""Places that the tokens of one state are followed to."""
MAX_KEPT = 50_000_000
"""Tokens in all that places in walks are remembered for."""
SPARE = 20
"""Letters that must be free to go on with behind a name that is taken."""
SHORTEST_MEMBER = 4
"""Bytes of a member of an object: quotes, colon and value."""

Words = NDArray[np.int32]
Node = tuple[int, int]
"""An instruction and the progress in it; (rule cell, RULE) for a rule."""
RULE = -1
Frame = Any
"""Where to return to: a stack of the arena (int), or (D-state, whether a name ends there, Frame)."""


class Ending(NamedTuple):
    """A shortest completion."""

    text: bytes
    named: bool
    """Whether it ends a name that may turn out to be taken."""


class Choice(NamedTuple):
    """Tokens that leave the same to be done."""

    tokens: Words
    completion: bytes
    spare: int
    """How many letters may be needed besides, because a name may turn out to be taken; 0 if none can be."""


class _Landing(NamedTuple):
    """Where the tokens of a trie end or leave in a rule body."""

    ends: list[tuple[int, Words]]
    exits: int
    """What is left of the tokens that leave, a trie or -1."""
    calls: list[tuple[int, int, int, int]]
    """(rule, D-state to return to, capture, trie)."""


class Completions:
    """Shortest completions in one engine, for the grammars that were let in with `admit`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._endings: dict[Node, Ending] = {}
        self._of_d: dict[int, Ending] = {}
        self._of_frame: dict[Frame, Ending] = {0: Ending(b"", False)}
        self._rests: dict[Node, bytes] = {}
        self._landings: dict[tuple[int, int], _Landing] = {}
        self._kept = 0
        self._fewest: dict[bytes, int] = {}

    def admit(self, expr: Expr) -> None:
        """Let in a grammar. Raises `StructgenError` where what is shortest would depend on names or items used before."""
        _check_names(expr)

    def of(self, state: int) -> list[Ending]:
        """The shortest completion of each configuration of a state, should no name in it be taken."""
        return [_joined(self._of_state(d), self._of_stack(stack)) for d, _, stack in self._configs(state)]

    def spare(self, state: int) -> int:
        """How many letters, at most, make a name that is taken after a token from here one that is not."""
        stacks = [stack for _, _, stack in self._configs(state)]
        sets = [data for _, data, _ in self._configs(state)]
        seen = set(stacks)
        while stacks:
            for node in filter(None, self._tops(stacks.pop())):
                sets.append(self._item(node + P.K_DATA))
                if (parent := self._item(node + P.K_PARENT)) not in seen:
                    seen.add(parent)
                    stacks.append(parent)
        known = max(self._item(at + 1) >> 4 if at and self._item(at + 1) & 15 == A.KEYSET else 0 for at in (0, *sets))
        longest = self._item(self._item(A.ROOT_TRIE) + T.T_DEPTH)
        return 1 + (known + longest // SHORTEST_MEMBER) // SPARE

    def n_tokens(self, text: bytes) -> int:
        """How many tokens spell these bytes, at least."""
        if text not in self._fewest:
            data = np.frombuffer(text, np.uint8).astype(np.int32)
            if len(self._fewest) > 100_000:
                self._fewest.clear()
            self._fewest[text] = self._engine.call(C.fewest_tokens, data, np.zeros(len(data) + 1, np.int32))
        return self._fewest[text]

    def choices(self, state: int) -> Iterator[Choice]:
        """The tokens that a state allows (names that are taken left aside), by what they leave to be done. A token may come
        several times, for several ways to read it. Raises `LimitExceeded` where there are too many."""
        root = self._item(A.ROOT_TRIE)
        spare = self.spare(state)
        todo: list[tuple[int, Frame, int, bool]] = [(d, stack, root, True) for d, _, stack in self._configs(state)]
        seen = set(todo)
        while todo:
            d, frame, trie, fresh = todo.pop()
            landing = self._land(trie, d)
            for end, tokens in landing.ends:
                text, named = _joined(self._of_state(end), self._of_frame_(frame))
                yield Choice(tokens, text, spare if named else 0)
            found = [
                (self._engine.call(C.start_of, rule), (back, bool(capture & N.CAPTURE), frame), entering, True)
                for rule, back, capture, entering in landing.calls
            ]
            rests = {landing.exits} if landing.exits >= 0 else set()
            if not fresh and self._item(d + K.D_FLAGS) & K.HAS_ACCEPT:
                rests.add(trie)
            found += [(back, parent, rest, False) for rest in rests for back, parent in self._returns(frame)]
            for step in found:
                if step not in seen:
                    seen.add(step)
                    todo.append(step)
            if len(seen) > MAX_STEPS:
                raise LimitExceeded("places that the tokens of one state lead to", MAX_STEPS, "a grammar with max_tokens")

    # -- states and stacks ------------------------------------------------------------------------------------------------------

    def _item(self, at: int) -> int:
        return int(self._engine.arena.item(at))

    def _configs(self, state: int) -> Iterator[tuple[int, int, int]]:
        words = self._engine.arena[state + 1] >> 4
        at = state + P.S_CONFIGS
        for i in range((int(words) - 2) // 3):
            d, data, stack = self._engine.arena[at + 3 * i : at + 3 * i + 3].tolist()
            yield d, data, stack

    def _tops(self, stack: int) -> list[int]:
        """The nodes that a stack stands for; 0 is the bottom."""
        if stack and self._item(stack + 1) & 15 == A.STACKS:
            first = stack + A.HEADER + P.K_FIELDS
            return self._engine.arena[first : first + (self._item(stack + 1) >> 4)].tolist()  # type: ignore[no-any-return]
        return [stack]

    def _returns(self, frame: Frame) -> list[tuple[int, Frame]]:
        """Where the end of a rule leads: D-states and the frames below."""
        if isinstance(frame, tuple):
            return [(frame[0], frame[2])]
        return [(self._item(node + P.K_RETURN), self._item(node + P.K_PARENT)) for node in self._tops(frame) if node]

    def _of_frame_(self, frame: Frame) -> Ending:
        if not isinstance(frame, tuple):
            return self._of_stack(frame)
        return _joined(self._of_state(frame[0]), self._of_frame_(frame[2]), named=frame[1])

    def _of_stack(self, stack: int) -> Ending:
        """The shortest completion of what is below a rule: from the bottom up, without recursion."""
        todo = [stack]
        while todo:
            at = todo[-1]
            nodes = self._tops(at)
            missing = [parent for node in nodes if node and (parent := self._item(node + P.K_PARENT)) not in self._of_frame]
            if at not in self._of_frame and not missing:
                self._of_frame[at] = min(map(self._of_node, nodes), key=shortlex)
            if missing:
                todo += missing
            else:
                todo.pop()
        return self._of_frame[stack]

    def _of_node(self, node: int) -> Ending:
        if not node:
            return self._of_frame[0]
        named = bool(self._item(node + P.K_CAPTURE) & N.CAPTURE)
        return _joined(self._of_state(self._item(node + P.K_RETURN)), self._of_frame[self._item(node + P.K_PARENT)], named=named)

    def _of_state(self, d: int) -> Ending:
        """The shortest completion of a D-state, to the end of its rule."""
        if d not in self._of_d:
            first = d + K.D_KEY
            pairs = self._engine.arena[first : first + (self._item(d + 1) >> 4)].tolist()
            nodes = list(zip(pairs[::2], pairs[1::2], strict=True))
            self._solve(nodes)
            self._of_d[d] = min((self._endings[node] for node in nodes if node in self._endings), key=shortlex)
        return self._of_d[d]

    # -- instructions -----------------------------------------------------------------------------------------------------------

    def _solve(self, wanted: Iterable[Node]) -> None:
        """Find the shortest completions of some instructions and of all that they lead to."""
        parents: dict[Node, list[Node]] = {}
        ways: dict[Node, list[tuple[bytes, tuple[Node, ...], bool]]] = {}
        heap: list[tuple[int, bytes, bool, Node]] = []

        def offer(node: Node) -> None:
            for head, parts, named in ways[node]:
                if all(part in self._endings for part in parts):
                    ending = _joined(Ending(head, named), *(self._endings[part] for part in parts))
                    if len(ending.text) > MAX_TEXT:
                        raise LimitExceeded("bytes of a shortest completion", MAX_TEXT, "a grammar with max_tokens")
                    heappush(heap, (*shortlex(ending), node))

        todo = [node for node in wanted if node not in self._endings]
        while todo:
            node = todo.pop()
            if node in ways:
                continue
            ways[node] = self._ways(node)
            if len(ways) > MAX_INSTRUCTIONS:
                raise LimitExceeded("instructions", MAX_INSTRUCTIONS, "a grammar with max_tokens")
            for _, parts, _ in ways[node]:
                for part in parts:
                    parents.setdefault(part, []).append(node)
                    if part not in self._endings:
                        todo.append(part)
        for node in ways:
            offer(node)
        while heap:
            _, text, named, node = heappop(heap)
            if node not in self._endings:
                self._endings[node] = Ending(text, named)
                for parent in parents.get(node, ()):
                    if parent not in self._endings:
                        offer(parent)

    def _ways(self, node: Node) -> list[tuple[bytes, tuple[Node, ...], bool]]:
        """The ways to finish from an instruction: bytes, then completions of instructions one after the other; whether a name is read."""
        at, sub = node
        if sub == RULE:
            return [(b"", ((self._item(at + K.R_CODE), self._item(at + K.R_SUB)),), False)]
        op, a, b, c = self._engine.arena[at : at + K.WIDTH].tolist()
        after = at + K.WIDTH
        if op == K.ACCEPT:
            return [(b"", (), False)]
        if op == K.BYTE:
            return [(bytes([a]), ((after, sub),), False)]
        if op == K.JUMP:
            return [(b"", ((a, sub),), False)]
        if op == K.SPLIT:
            return [(b"", ((a, sub),), False), (b"", ((b, sub),), False)]
        if op == K.CALL:
            rest = (after, sub)
            return [(b"", ((a, RULE), rest), bool(b & N.CAPTURE)), *([(b"", (rest,), False)] if b & N.NULLABLE else [])]
        if op in (K.LITERAL, K.STRING_OP):
            return [(self._rest(at, sub), ((after, 0),), False)]
        if op == K.COUNT_START:
            return [*([(b"", ((a, 0),), False)] if b == 0 else []), *([(b"", ((after, 0),), False)] if c != 0 else [])]
        if op == K.COUNT_NEXT:
            n = sub + 1 if c >= 0 else min(sub + 1, b)
            return [*([(b"", ((after, 0),), False)] if n >= b else []), *([(b"", ((a, n),), False)] if c < 0 or n < c else [])]
        return []

    def _rest(self, at: int, sub: int) -> bytes:
        """The shortest rest of a literal or string: breadth first, bytes in order."""
        if (at, sub) not in self._rests:
            texts, layer, out = {sub: b""}, [sub], np.zeros(256, np.int32)
            ended: bytes | None = None
            while ended is None:
                following: list[int] = []
                for progress in layer:
                    if self._engine.call(C.element_steps, at, progress, out):
                        ended = texts[progress]
                        break
                    steps = out.tolist()
                    if ended is None and -2 in steps:
                        ended = texts[progress] + bytes([steps.index(-2)])
                    for byte, found in enumerate(steps):
                        if found >= 0 and found not in texts:
                            texts[found] = texts[progress] + bytes([byte])
                            following.append(found)
                layer = following
                if len(texts) > MAX_INSTRUCTIONS:
                    raise LimitExceeded("states of a string", MAX_INSTRUCTIONS, "a grammar with max_tokens")
            for progress, text in texts.items():
                if ended.startswith(text):  # on the way, so what is left is shortest, too
                    self._rests[at, progress] = ended[len(text) :]
        return self._rests[at, sub]

    # -- walks ------------------------------------------------------------------------------------------------------------------

    def _land(self, trie: int, d: int) -> _Landing:
        key = (trie, d)
        if key not in self._landings:
            if self._kept > MAX_KEPT:
                self._landings.clear()
                self._kept = 0
            self._landings[key] = self._landed(trie, d)
        return self._landings[key]

    def _landed(self, trie: int, d: int) -> _Landing:
        ends: dict[int, list[Words]] = {}
        leaving: list[tuple[int, int]] = []
        calling: dict[tuple[int, int, int], list[tuple[int, int]]] = {}
        for source in self._sources(trie):
            n = self._item(source + T.T_N_NODES)
            at = np.zeros(n, np.int32)
            self._engine.call(C.land, trie, source, d, at)
            first = source + T.T_NODES
            nodes = self._engine.arena[first : first + 4 * (n + 1)].reshape(-1, 4)
            tokens = self._engine.arena[first + 4 * (n + 1) :][: int(nodes[n, T.N_TOKEN])]
            place = np.repeat(at, np.diff(nodes[:, T.N_TOKEN]))
            live = np.flatnonzero(place >= 0)
            order = live[np.argsort(place[live], kind="stable")]
            where, starts = np.unique(place[order], return_index=True)
            for state, group in zip(where.tolist(), np.split(tokens[order].copy(), starts[1:]), strict=False):
                ends.setdefault(state, []).append(group)
            self._kept += len(order)
            inner = np.flatnonzero((at >= 0) & (nodes[:n, T.N_END] > np.arange(n) + 1))
            flags = self._engine.arena[at[inner] + K.D_FLAGS]
            leaving += [(source, node) for node in inner[flags & K.HAS_ACCEPT != 0].tolist()]
            for node in inner[flags & K.HAS_CALLS != 0].tolist():
                for call in self._calls(int(at[node])):
                    calling.setdefault(call, []).append((source, node))
        entered = [(*call, self._below(pairs)) for call, pairs in calling.items()]
        entered += [(*call, trie) for call in self._calls(d)]
        return _Landing([(end, np.concatenate(groups)) for end, groups in ends.items()], self._below(leaving), entered)

    def _sources(self, trie: int) -> list[int]:
        """The tries that hold the nodes of a trie or forest."""
        if self._item(trie + 1) & 15 != A.FOREST:
            return [trie]
        first = trie + T.T_ROOTS
        return sorted(set(self._engine.arena[first : first + 2 * self._item(trie + T.T_NODES + 256) : 2].tolist()))

    def _below(self, pairs: list[tuple[int, int]]) -> int:
        return self._engine.call(C.below, np.array(pairs, np.int32).ravel()) if pairs else -1

    def _calls(self, d: int) -> list[tuple[int, int, int]]:
        """The calls of a D-state: rule, D-state to return to, capture."""
        if not self._item(d + K.D_FLAGS) & K.HAS_CALLS:
            return []
        block = self._engine.call(C.calls_of, d)
        triples = self._engine.arena[block : block + 3 * self._item(d + K.D_N_CALLS)].reshape(-1, 3)
        return [(rule, back, capture) for rule, back, capture in triples.tolist()]


def shortlex(ending: Ending) -> tuple[int, bytes, bool]:
    return len(ending.text), ending.text, ending.named


def _joined(*endings: Ending, named: bool = False) -> Ending:
    return Ending(b"".join(ending.text for ending in endings), named or any(ending.named for ending in endings))


def _check_names(root: Expr) -> None:
    """Refuse grammars in which names or items used before say what is shortest."""
    seen, todo = {id(root)}, [root]
    members: dict[int, _Members] = {}
    while todo:
        expr = todo.pop()
        if isinstance(expr, Unique):
            _members(expr.body, members)
        if isinstance(expr, Item) or (isinstance(expr, Unique) and (expr.required or expr.min or expr.max is not None)):
            raise _not_known("distinct items, or names that are counted or required in any order")
        if isinstance(expr, Quoted) and expr.capture and (expr.max_length is not None or not _has_spare(expr.content)):
            raise _not_known("distinct names of a pattern")
        for child in children(expr):
            if id(child) not in seen:
                seen.add(id(child))
                todo.append(child)


class _Members(NamedTuple):
    """Whether there may be names in an expression, and must be."""

    may: bool
    must: bool


def _members(expr: Expr, known: dict[int, _Members]) -> _Members:
    """Refuse scopes in which a name must follow another one: both might be taken."""
    if id(expr) not in known:
        parts = [_members(part, known) for part in children(expr)] if isinstance(expr, (Seq, Either, Repeat)) else []
        may, must = any(part.may for part in parts), [part.must for part in parts]
        one_after_other = isinstance(expr, Seq) and any(b.must and any(a.may for a in parts[:i]) for i, b in enumerate(parts))
        if one_after_other or (isinstance(expr, Repeat) and expr.min > 1 and must[0]):
            raise _not_known("a least number of free names")
        if isinstance(expr, Quoted):
            found = _Members(expr.capture, expr.capture)
        elif isinstance(expr, Repeat):
            found = _Members(may, expr.min > 0 and must[0])
        else:
            found = _Members(may, any(must) if isinstance(expr, Seq) else bool(must) and all(must))
        known[id(expr)] = found
    return known[id(expr)]


def _has_spare(dfa: CharDfa | None) -> bool:
    """Whether behind every name there are enough letters that make it another name."""
    if dfa is None:
        return True
    letters = [dfa.classes[bisect_right(dfa.starts, ord(char)) - 1] for char in "abcdefghijklmnopqrstuvwxyz"]
    follow = (sum(dfa.table[q][c] >= 0 and dfa.accepting[dfa.table[q][c]] for c in letters) for q, ends in enumerate(dfa.accepting) if ends)
    return all(n >= SPARE for n in follow)


def _not_known(what: str) -> StructgenError:
    return StructgenError(f"max_tokens does not go with {what}: how an output can be finished soonest would depend on those used before")
