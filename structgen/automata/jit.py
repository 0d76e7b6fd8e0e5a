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
from numba.core import caching, codegen

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


class _Native:
    """Whether machine code is wanted for what numba compiles. A kernel that only others call is linked into them as intermediate
    code; optimising it and generating code for it on its own would be half of the first compilation."""

    wanted = True

    @classmethod
    def install(cls) -> None:
        """Make numba's code libraries ask."""
        library_class, codegen_class = codegen.JITCodeLibrary, codegen.JITCPUCodegen
        finalize, pointer, environment = library_class.finalize, library_class.get_pointer_to_function, codegen_class.set_env

        def finalize_wanted(library: Any) -> None:
            if cls.wanted:
                return finalize(library)  # type: ignore[no-any-return]
            library._raise_if_finalized()
            for linked in dict.fromkeys(library._linking_libraries):
                library._final_module.link_in(linked._get_module_for_linking(), preserve=True)
            library._finalized = True

        def pointer_wanted(library: Any, name: str) -> Any:
            library._ensure_finalized()
            return pointer(library, name) if cls.wanted else 0

        def set_wanted(generator: Any, name: str, env: Any) -> None:
            if cls.wanted:
                environment(generator, name, env)

        library_class.finalize, library_class.get_pointer_to_function = finalize_wanted, pointer_wanted
        codegen_class.set_env = set_wanted


_Native.install()


def kernel(signature: str, *, entry: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``@njit`` with one explicit signature, GIL released, and the cache described above.

    Only an ``entry`` kernel can be called from Python; it is compiled or loaded at once. The others are compiled when an entry that
    calls them is not in the cache."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        options = {"nogil": True, "_nrt": False, "error_model": "numpy", "no_cfunc_wrapper": True, "no_cpython_wrapper": not entry}
        dispatcher: Any = numba.njit(**options)(function)
        if not hasattr(dispatcher, "_cache"):
            return function  # NUMBA_DISABLE_JIT: plain Python, for coverage and debugging
        if entry:
            dispatcher._cache = _KernelCache(function)
            dispatcher.compile(signature)
            dispatcher.disable_compile()
        else:
            _compile_when_called(dispatcher, signature)
        return dispatcher  # type: ignore[no-any-return]

    return decorate


def _compile_when_called(dispatcher: Any, signature: str) -> None:
    """Let the compilation of a caller be what compiles the kernel, for its own signature."""
    template = dispatcher.get_call_template

    def get_call_template(args: Any, kws: Any) -> Any:
        if not dispatcher.overloads:
            wanted, _Native.wanted = _Native.wanted, False
            try:
                compiled_kernels.append(dispatcher.py_func.__name__)
                dispatcher.compile(signature)
                dispatcher.disable_compile()
            finally:
                _Native.wanted = wanted
        return template(args, kws)

    dispatcher.get_call_template = get_call_template


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A part of exactly one kernel, inlined before types are inferred: no compilation and no linking of its own."""
    return numba.njit(inline="always")(function)  # type: ignore[no-any-return]
