"""Derived arrays on disk, so that the second process to need them maps them into memory instead of computing them again.

A file is one JSON header (names, dtypes, shapes, offsets, checksums) and the raw array bytes; nothing in it is executed and
everything in it is checked before use. Whatever goes wrong (a corrupt, truncated or foreign file, a read-only or full disk,
no home) only means that there is no cache. Files are written to a temporary name and moved into place, so readers and
concurrent writers always see whole files; equal keys mean equal content, so it does not matter who writes last.

The folder is $STRUCTGEN_CACHE_DIR, $XDG_CACHE_HOME/structgen or ~/.cache/structgen, created with mode 0700; a folder that is a
link, belongs to somebody else or may be written by everybody is not used. Cost: one pass of CRC-32 over the file
(about 1 ms per MB).
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import stat
import struct
import tempfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from structgen._version import __version__

__all__ = ["code_version", "directory", "load_arrays", "store_arrays"]

Arrays = dict[str, NDArray[Any]]

_MAGIC = b"sgarray1"
_PREFIX = struct.Struct("<8sII")  # magic, length of the header, CRC-32 of the header
_ALIGN = 64


def directory() -> Path | None:
    """The cache folder, created if need be; None where there is none that can be trusted."""
    path = _configured()
    if path is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        found = os.lstat(path)
    except OSError:
        return None
    return path if stat.S_ISDIR(found.st_mode) and _is_ours(found) else None


def _configured() -> Path | None:
    if chosen := os.environ.get("STRUCTGEN_CACHE_DIR"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the XDG specification: relative paths are to be ignored
        return Path(base, "structgen")
    try:
        return Path.home() / ".cache" / "structgen"
    except RuntimeError:
        return None


def _is_ours(found: os.stat_result) -> bool:
    if not hasattr(os, "getuid"):
        return True  # Windows: profile folders are private by default
    return found.st_uid == os.getuid() and not found.st_mode & stat.S_IWOTH


def code_version(*paths: str) -> str:
    """A version that changes with the source of the code that derives the arrays, so that an edit never meets stale data."""
    digest = hashlib.sha256(__version__.encode())
    for path in paths:
        try:
            digest.update(Path(path).read_bytes())
        except OSError:
            continue  # not a plain file (zip import): the package version has to do
    return digest.hexdigest()[:16]


def load_arrays(name: str, key: str, version: str) -> Arrays | None:
    """The arrays stored under this name, key and version, read-only and memory-mapped; None if there are none intact."""
    folder = directory()
    if folder is None:
        return None
    try:
        handle = os.open(folder / _file_name(name, key, version), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode) or not _is_ours(found):
                return None
            view = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(handle)
        return _parse(view, _identity(name, key, version))
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError, struct.error):
        return None


def store_arrays(name: str, key: str, version: str, arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Store plain arrays of numbers; returns whether it worked. Never raises for a disk that does not cooperate."""
    folder = directory()
    if folder is None:
        return False
    content = _serialize(_identity(name, key, version), arrays)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, folder / _file_name(name, key, version))
        return True
    except OSError:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)
        return False


def _identity(name: str, key: str, version: str) -> dict[str, str]:
    return {"name": name, "key": key, "version": version}


def _file_name(name: str, key: str, version: str) -> str:
    digest = hashlib.sha256(json.dumps([name, key, version]).encode()).hexdigest()[:32]
    return f"{''.join(c for c in name if c.isalnum())}-{digest}.arrays"


def _serialize(identity: dict[str, str], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    entries, chunks, position = [], [], 0
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise TypeError(f"only arrays of numbers can be stored, {name!r} has dtype {array.dtype}")
        raw = np.ascontiguousarray(array).tobytes()
        entries.append({"name": name, "dtype": array.dtype.str, "shape": list(array.shape), "offset": position})
        padding = -len(raw) % _ALIGN
        chunks.append(raw + b"\0" * padding)
        position += len(raw) + padding
    body = b"".join(chunks)
    header = json.dumps(identity | {"arrays": entries, "size": position, "crc": zlib.crc32(body)}).encode()
    header += b" " * (-(len(header) + _PREFIX.size) % _ALIGN)
    return _PREFIX.pack(_MAGIC, len(header), zlib.crc32(header)) + header + body


def _parse(view: mmap.mmap, identity: dict[str, str]) -> Arrays | None:
    """The arrays of a file; None or one of the exceptions caught by `load_arrays` unless everything about it is right."""
    magic, length, crc = _PREFIX.unpack_from(view)
    start = _PREFIX.size + length
    header_bytes = view[_PREFIX.size : start]
    if magic != _MAGIC or len(header_bytes) != length or zlib.crc32(header_bytes) != crc:
        return None
    header = json.loads(header_bytes)
    body = memoryview(view)[start:]
    if {k: header[k] for k in identity} != identity or header["size"] != len(body) or zlib.crc32(body) != header["crc"]:
        return None
    return {entry["name"]: _array(body, entry) for entry in header["arrays"]}


def _array(body: memoryview, entry: dict[str, Any]) -> NDArray[Any]:
    dtype, shape, offset = np.dtype(entry["dtype"]), tuple(entry["shape"]), entry["offset"]
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "biuf" or min(shape, default=0) < 0 or not 0 <= offset <= offset + size <= len(body):
        raise ValueError("an array that does not fit the file")
    array = np.frombuffer(body[offset : offset + size], dtype=dtype) if size else np.empty(0, dtype=dtype)
    array = array.reshape(shape)
    array.setflags(write=False)
    return array
