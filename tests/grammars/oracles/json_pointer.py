"""JSON Pointers, piece by piece as RFC 6901 evaluates them."""

from __future__ import annotations


def accepts(text: str) -> bool:
    root, *tokens = text.split("/")
    return root == "" and all(after[:1] in ("0", "1") for token in tokens for after in token.split("~")[1:])
