"""Compilation of kernels: one explicit signature each, cached on disk under a hash of all kernel sources.

numba's own cache notices an edit only in the file of the kernel itself, not in its callees; keying the cache by every
kernel source of this package makes stale machine code impossible. The first-ever compilation is announced on stderr.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import caching, typeinfer

__all__ = ["compiled_kernels", "inlined", "kernel"]

compiled_kernels: list[str] = []  # kernels compiled (not loaded from the cache) by this process, in order


@cache
def source_key() -> str:
    """Hash of all kernel sources, the numba version and the processor: the name of the cache folder."""
    digest = hashlib.sha256(numba.__version__.encode())
    folder = Path(__file__).parent
    for path in [folder / "_arena.py", *sorted(folder.glob("_*_kernels.py"))]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:20]


@cache
def cache_folder() -> str:
    """Folder for compiled kernels: the user's structgen cache, or a private temporary one where that is unusable."""
    from structgen.automata import diskcache

    base = diskcache.directory()
    if base is None:
        return tempfile.mkdtemp(prefix="structgen-kernels-")
    return os.path.join(base, f"kernels-{source_key()}")


class _Locator(caching._CacheLocator):  # type: ignore[misc]
    def get_cache_path(self) -> str:
        return cache_folder()

    def get_source_stamp(self) -> str:
        return source_key()

    def get_disambiguator(self) -> str:
        return ""

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator:
        return cls()


class _Impl(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_Locator,)


class _KernelCache(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _Impl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # a damaged cache file is a miss
            found = None
        if found is None:
            if not compiled_kernels:
                print("structgen: compiling kernels (once per installation, about 20 s) ...", file=sys.stderr, flush=True)
            compiled_kernels.append(self._name)
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):  # a read-only or full disk only costs the next start its time
            super().save_overload(sig, data)


def kernel(signature: str, *, entry: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``@njit`` with one explicit signature, GIL released, and the cache described above.

    Only an ``entry`` kernel can be called from Python; the others save the compilation of their wrappers."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        options = {"nogil": True, "_nrt": False, "error_model": "numpy", "no_cfunc_wrapper": True, "no_cpython_wrapper": not entry}
        dispatcher: Any = numba.njit(**options)(function)
        if not hasattr(dispatcher, "_cache"):
            return function  # NUMBA_DISABLE_JIT: plain Python, for coverage and debugging
        dispatcher._cache = _KernelCache(function)
        with typeinfer.register_dispatcher(dispatcher):  # lets the function call itself
            dispatcher.compile(signature)
        dispatcher.disable_compile()
        return dispatcher  # type: ignore[no-any-return]

    return decorate


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A part of exactly one kernel, inlined before types are inferred: no compilation and no linking of its own."""
    return numba.njit(inline="always")(function)  # type: ignore[no-any-return]
