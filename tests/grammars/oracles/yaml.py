"""YAML as PyYAML parses it, restricted to the subset by what it found and where."""

from __future__ import annotations

import re

import yaml
from yaml import events as E

GAP = re.compile(r"(?:[ \n]|(?:^|(?<=[ \n]))#[^\n]*(?:\n|\Z))*")
BETWEEN = (
    yaml.FlowEntryToken,
    yaml.FlowMappingStartToken,
    yaml.FlowMappingEndToken,
    yaml.FlowSequenceStartToken,
    yaml.FlowSequenceEndToken,
)
SUBSET = (*BETWEEN, yaml.ScalarToken, yaml.KeyToken, yaml.ValueToken, yaml.StreamStartToken, yaml.StreamEndToken)


def accepts(text: str) -> bool:
    if re.search("[\r\x85\u2028\u2029\ufeff]", text):
        return False
    try:
        tokens = list(yaml.scan(text, Loader=yaml.SafeLoader))
        _, document, *nodes, _, _ = yaml.parse(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError):
        return False
    if not isinstance(document, E.DocumentStartEvent) or not isinstance(nodes[0], E.CollectionStartEvent):
        return False
    return all(isinstance(token, SUBSET) for token in tokens) and is_spaced(text, tokens) and is_nested(text, nodes)


def is_spaced(text: str, tokens: list[yaml.Token]) -> bool:
    """Between tokens are only blanks and comments; after a plain key and its colon there are some."""
    at, plain = 0, False
    for token in tokens:
        begin, end = token.start_mark.index, token.end_mark.index
        if isinstance(token, yaml.StreamEndToken):
            begin = end = len(text)
        if isinstance(token, (yaml.StreamStartToken, yaml.KeyToken)):
            if end > begin:  # a key with a question mark
                return False
            continue
        gap = GAP.match(text, at, begin)
        if gap is None or gap.end() != begin:
            return False
        if isinstance(token, yaml.ValueToken) and (("\n" in text[at:begin]) or (plain and text[end : end + 1] not in (" ", "\n"))):
            return False
        at, plain = end, isinstance(token, yaml.ScalarToken) and token.plain
    return True


def is_nested(text: str, nodes: list[yaml.Event]) -> bool:
    """Collections have brackets, keys are scalars, and scalars are of the subset."""
    open_: list[bool | None] = []  # for every mapping whether a key comes next, None for a sequence
    for node in nodes:
        if isinstance(node, E.CollectionEndEvent):
            open_.pop()
            continue
        is_scalar = isinstance(node, E.ScalarEvent)
        if open_ and open_[-1] is not None:
            if open_[-1] and not is_scalar:
                return False
            open_[-1] = not open_[-1]
        if is_scalar and not is_of_subset(text[node.start_mark.index : node.end_mark.index], node):
            return False
        if not is_scalar:
            if text[node.start_mark.index] not in "[{":
                return False
            open_.append(True if isinstance(node, E.MappingStartEvent) else None)
    return True


def is_of_subset(source: str, node: E.ScalarEvent) -> bool:
    if "\n" in source or re.search("[\ud800-\udfff]", node.value):
        return False
    return bool(node.style) or (source != "" and not re.search(r"^-:*$|^--|^\.\.|[\t?]", source))
