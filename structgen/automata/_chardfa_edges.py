"""Anchors at the edges of a regular expression, resolved on the tree so that usual patterns need no look-arounds.

``^`` at the beginning of a whole text holds and can go; a search for a pattern that begins with ``^`` needs no text before
it. Anchors elsewhere stay look-arounds. Cost O(size of the tree) for each of the few passes; recursion is as deep as the tree.
"""

from __future__ import annotations

from structgen.automata._chardfa_nodes import (
    ANY_TEXT,
    END,
    EPSILON,
    START,
    Alternation,
    Automaton,
    Char,
    Concat,
    Look,
    Loop,
    Node,
)

__all__ = ["after_anything", "before_anything", "is_anchored", "search", "strip_edges"]


def search(node: Node) -> Node:
    """The whole texts in which the expression matches somewhere."""
    return _padded(node, before=True, after=True)


def before_anything(node: Node) -> Node:
    """The texts that begin with a match."""
    return _padded(node, before=False, after=True)


def after_anything(node: Node) -> Node:
    """The texts that end with a match."""
    return _padded(node, before=True, after=False)


def _padded(node: Node, *, before: bool, after: bool) -> Node:
    """Any text where asked for, except on the side of an anchor."""
    if isinstance(node, Alternation):
        return Alternation(tuple(_padded(item, before=before, after=after) for item in node.items))
    left, right = before and is_anchored(node, START), after and is_anchored(node, END)
    core = _strip(node, left, right)
    return Concat((ANY_TEXT if before and not left else EPSILON, core, ANY_TEXT if after and not right else EPSILON))


def is_anchored(node: Node, anchor: Look) -> bool:
    """Whether every match begins at `START`, or ends at `END`, of the whole text."""
    if isinstance(node, Alternation):
        return bool(node.items) and all(is_anchored(item, anchor) for item in node.items)
    if isinstance(node, Concat):
        for item in node.items if anchor is START else reversed(node.items):
            if is_anchored(item, anchor):
                return True
            if not isinstance(item, Look):
                return False
    return node is anchor


def strip_edges(node: Node) -> Node:
    """The same texts, if matched as a whole, without assertions that hold anyway at the beginning or end of the text."""
    return _strip(node, True, True)


def _strip(node: Node, left: bool, right: bool) -> Node:
    """The node without the assertions that hold anyway at the beginning (``left``) or end (``right``) of the whole text."""
    if isinstance(node, Look):
        trivial = node.negative and (left if node.behind else right) and not _may_be_empty(node.body)
        return EPSILON if trivial else node
    if isinstance(node, Alternation):
        return Alternation(tuple(_strip(item, left, right) for item in node.items))
    if isinstance(node, Concat):
        return _strip_items(list(node.items), left, right)
    return node


def _strip_items(items: list[Node], left: bool, right: bool) -> Node:
    """Edges of a sequence: an item is at the edge if only assertions stand between."""
    solid = [i for i, item in enumerate(items) if not isinstance(item, Look)] or [0]
    for i, item in enumerate(items):
        items[i] = _strip(item, left and i <= solid[0], right and i >= solid[-1])
    kept = [item for item in items if item is not EPSILON]
    return kept[0] if len(kept) == 1 else Concat(tuple(kept)) if kept else EPSILON


def _may_be_empty(node: Node) -> bool:
    """Whether the node could match without consuming (assertions are taken to hold)."""
    if isinstance(node, Char):
        return False
    if isinstance(node, Concat):
        return all(map(_may_be_empty, node.items))
    if isinstance(node, Alternation):
        return any(map(_may_be_empty, node.items))
    if isinstance(node, Loop):
        return node.min == 0 or _may_be_empty(node.item)
    return not isinstance(node, Automaton) or node.dfa.accepting[0]
