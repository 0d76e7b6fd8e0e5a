"""Checks of the numbers that drafting is set by."""

from __future__ import annotations

from operator import index
from typing import Any

from structgen.errors import StructgenError

__all__ = ["check_shares", "check_sizes", "whole"]


def whole(name: str, value: Any, least: int = 1) -> int:
    """A whole number as an int. Raises `StructgenError` for anything else, and below ``least``."""
    try:
        found = index(value)
    except TypeError:
        found = None
    if found is None or found < least:
        raise StructgenError(f"{name} must be a whole number and at least {least}, found {value!r:.100}")
    return found


def check_sizes(**sizes: Any) -> None:
    """Raises `StructgenError` for what is no whole number, or less than 1."""
    for name, size in sizes.items():
        whole(name, size)


def check_shares(**shares: Any) -> None:
    """Raises `StructgenError` for what is no number from 0 to 1."""
    for name, share in shares.items():
        if isinstance(share, (str, bytes)) or not hasattr(share, "__float__") or not 0 <= share <= 1:
            raise StructgenError(f"{name} must be a number from 0 to 1, found {share!r:.100}")
