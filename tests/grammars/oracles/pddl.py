"""S-expressions become nested lists of words first; then each part of a domain or problem is checked by what is in it."""

from __future__ import annotations

import re
from typing import Any

Node = Any
"""A word, or a list of nodes."""
REQUIREMENTS = {
    ":strips", ":typing", ":negative-preconditions", ":disjunctive-preconditions", ":equality", ":existential-preconditions",
    ":universal-preconditions", ":quantified-preconditions", ":conditional-effects",
    ":adl", ":fluents", ":numeric-fluents", ":action-costs",
}  # fmt: skip
ASSIGNMENTS = {"assign", "increase", "decrease", "scale-up", "scale-down"}
RESERVED = {"and", "or", "not", "imply", "exists", "forall", "when"} | ASSIGNMENTS


def accepts(text: str) -> bool:
    plain = re.sub(r";[^\n]*", " ", text)
    tokens = re.findall(r"[()]|[^() \t\n\r]+", plain)
    if not plain.isascii() or re.search(r"\)[^() \t\n\r:]", plain) or len(tokens) < 2:
        return False
    stack: list[list[Node]] = [[]]
    for token in tokens:
        if token == "(":
            stack.append([])
        elif token != ")":
            stack[-1].append(token.lower())
        elif len(stack) > 1:
            done = stack.pop()
            stack[-1].append(done)
        else:
            return False
    return len(stack) == 1 == len(stack[0]) and isinstance(stack[0][0], list) and is_file(stack[0][0])


def is_file(parts: list[Node]) -> bool:
    if len(parts) < 2 or parts[0] != "define" or not isinstance(parts[1], list) or len(parts[1]) != 2 or not is_name(parts[1][1]):
        return False
    if parts[1][0] == "domain":
        order = [":requirements", ":types", ":constants", ":predicates", ":functions", ":action"]
        needed: list[str] = []
    elif parts[1][0] == "problem":
        order = [":domain", ":requirements", ":objects", ":init", ":goal", ":metric"]
        needed = [":domain", ":init", ":goal"]
    else:
        return False
    if not all(isinstance(part, list) and part and part[0] in order for part in parts[2:]):
        return False
    heads = [part[0] for part in parts[2:]]
    in_order = heads == sorted(heads, key=order.index) and all(heads.count(head) < 2 or head == ":action" for head in heads)
    return in_order and all(head in heads for head in needed) and all(PARTS[part[0]](part[1:]) for part in parts[2:])


def is_name(node: Node) -> bool:
    return isinstance(node, str) and re.fullmatch("[a-z][a-z0-9_-]*", node) is not None


def is_variable(node: Node) -> bool:
    return isinstance(node, str) and node[:1] == "?" and is_name(node[1:])


def is_term(node: Node) -> bool:
    return is_name(node) or is_variable(node)


def is_number(node: Node) -> bool:
    return isinstance(node, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", node) is not None


def is_symbol(node: Node) -> bool:
    return is_name(node) and node not in RESERVED


def is_atom(node: Node, is_argument: Any = is_term) -> bool:
    return isinstance(node, list) and bool(node) and is_symbol(node[0]) and all(map(is_argument, node[1:]))


def is_typed(nodes: list[Node], is_item: Any, is_type: Any = None) -> bool:
    """Items in groups; a dash stands between a group and its type."""
    is_type = is_type or (lambda node: is_name(node) or (is_list(node, "either", 1) and all(map(is_name, node[1:]))))
    while "-" in nodes:
        at = nodes.index("-")
        if at == 0 or at + 1 == len(nodes) or not all(map(is_item, nodes[:at])) or not is_type(nodes[at + 1]):
            return False
        nodes = nodes[at + 2 :]
    return all(map(is_item, nodes))


def is_list(node: Node, head: str, least: int, most: float = float("inf")) -> bool:
    return isinstance(node, list) and bool(node) and node[0] == head and least < len(node) <= most + 1


def is_variables(node: Node) -> bool:
    return isinstance(node, list) and is_typed(node, is_variable)


def is_skeleton(node: Node) -> bool:
    return isinstance(node, list) and bool(node) and is_symbol(node[0]) and is_typed(node[1:], is_variable)


def is_action(nodes: list[Node]) -> bool:
    keys = nodes[1::2]
    allowed = ([":parameters", *rest] for rest in ([], [":precondition"], [":effect"], [":precondition", ":effect"]))
    if len(nodes) % 2 == 0 or not is_name(nodes[0]) or keys not in allowed:
        return False
    given = dict(zip(keys, nodes[2::2], strict=True))
    condition, effect = given.get(":precondition", []), given.get(":effect", [])
    return is_variables(given[":parameters"]) and (condition == [] or is_condition(condition)) and (effect == [] or is_effect(effect))


def is_condition(node: Node) -> bool:
    if not isinstance(node, list) or not node or not isinstance(node[0], str):
        return False
    head, rest = node[0], node[1:]
    if head in ("and", "or"):
        return all(map(is_condition, rest))
    if head in ("not", "imply"):
        return len(rest) == (1 if head == "not" else 2) and all(map(is_condition, rest))
    if head in ("exists", "forall"):
        return len(rest) == 2 and is_variables(rest[0]) and is_condition(rest[1])
    if head in ("<", ">", "<=", ">=", "="):
        return len(rest) == 2 and (all(map(is_amount, rest)) or (head == "=" and all(map(is_term, rest))))
    return is_atom(node)


def is_amount(node: Node) -> bool:
    if isinstance(node, list) and node and node[0] in ("+", "-", "*", "/"):
        return all(map(is_amount, node[1:])) and len(node) in ((2, 3) if node[0] == "-" else (3,))
    return is_number(node) or is_symbol(node) or is_atom(node)


def is_effect(node: Node) -> bool:
    return all(map(is_change, node[1:])) if is_list(node, "and", 0) else is_change(node)


def is_change(node: Node) -> bool:
    if is_list(node, "forall", 2, 2):
        return is_variables(node[1]) and is_effect(node[2])
    if is_list(node, "when", 2, 2):
        simple = node[2][1:] if is_list(node[2], "and", 0) else [node[2]]
        return is_condition(node[1]) and all(map(is_simple, simple))
    return is_simple(node)


def is_simple(node: Node) -> bool:
    if isinstance(node, list) and node and isinstance(node[0], str) and node[0] in ASSIGNMENTS:
        return len(node) == 3 and (is_symbol(node[1]) or is_atom(node[1])) and is_amount(node[2])
    return is_atom(node[1] if is_list(node, "not", 1, 1) else node)


def is_fact(node: Node) -> bool:
    if is_list(node, "=", 2, 2):
        return (is_symbol(node[1]) or is_atom(node[1], is_name)) and is_number(node[2])
    return is_atom(node[1] if is_list(node, "not", 1, 1) else node, is_name)


def is_measure(node: Node) -> bool:
    if isinstance(node, list) and node and node[0] in ("+", "-", "*", "/"):
        n = len(node) - 1
        return all(map(is_measure, node[1:])) and (n == 2 or (n == 1 and node[0] == "-") or (n > 2 and node[0] in "+*"))
    return is_number(node) or is_symbol(node) or is_atom(node, is_name)


PARTS: dict[str, Any] = {
    ":requirements": lambda nodes: nodes and all(isinstance(node, str) and node in REQUIREMENTS for node in nodes),
    ":types": lambda nodes: is_typed(nodes, is_name),
    ":constants": lambda nodes: is_typed(nodes, is_name),
    ":predicates": lambda nodes: nodes and all(map(is_skeleton, nodes)),
    ":functions": lambda nodes: is_typed(nodes, is_skeleton, lambda node: node == "number"),
    ":action": is_action,
    ":domain": lambda nodes: len(nodes) == 1 and is_name(nodes[0]),
    ":objects": lambda nodes: is_typed(nodes, is_name),
    ":init": lambda nodes: all(map(is_fact, nodes)),
    ":goal": lambda nodes: len(nodes) == 1 and is_condition(nodes[0]),
    ":metric": lambda nodes: len(nodes) == 2 and nodes[0] in ("minimize", "maximize") and is_measure(nodes[1]),
}
