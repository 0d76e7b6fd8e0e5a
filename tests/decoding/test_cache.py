"""The disk cache: what is stored comes back, and nothing else ever does, whatever lies in the folder."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from structgen import cache

posix = pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs POSIX permissions")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRUCTGEN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def some_arrays() -> dict[str, Any]:
    return {"a": np.arange(5, dtype=np.int32), "b": np.zeros((2, 0), np.uint8), "c": np.array([[True], [False]])}


def stored_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def assert_same(found: dict[str, Any] | None, wanted: dict[str, Any]) -> None:
    assert found is not None and found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


def test_what_is_stored_comes_back_read_only() -> None:
    assert cache.load_arrays("x", "key", "1") is None
    assert cache.store_arrays("x", "key", "1", some_arrays())
    found = cache.load_arrays("x", "key", "1")
    assert_same(found, some_arrays())
    assert found is not None and not any(array.flags.writeable for array in found.values())


def test_other_names_keys_and_versions_are_other_entries() -> None:
    cache.store_arrays("x", "key", "1", some_arrays())
    assert cache.load_arrays("y", "key", "1") is None
    assert cache.load_arrays("x", "kez", "1") is None
    assert cache.load_arrays("x", "key", "2") is None


def test_names_and_keys_cannot_leave_the_folder(folder: Path) -> None:
    assert cache.store_arrays("../../x", "../y", "/z", some_arrays())
    assert_same(cache.load_arrays("../../x", "../y", "/z"), some_arrays())
    assert stored_file(folder).parent == folder and list(folder.parent.iterdir()) == [folder]


shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
arrays = hnp.arrays(st.sampled_from([np.bool_, np.uint8, np.int16, np.uint32, np.int64, np.float32, np.float64]), shapes)


@given(st.dictionaries(st.text(max_size=4), arrays, max_size=4))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_arrays_of_numbers(content: dict[str, Any]) -> None:
    assert cache.store_arrays("x", "key", "1", content)
    assert_same(cache.load_arrays("x", "key", "1"), content)


def test_arrays_of_objects_are_refused() -> None:
    with pytest.raises(TypeError, match="arrays of numbers"):
        cache.store_arrays("x", "key", "1", {"a": np.array([object()])})


def test_no_damaged_file_is_used(folder: Path) -> None:
    cache.store_arrays("x", "key", "1", some_arrays())
    path = stored_file(folder)
    intact = path.read_bytes()
    damaged = [intact[:i] + bytes([intact[i] ^ 1]) + intact[i + 1 :] for i in range(len(intact))]
    damaged += [intact[:i] for i in range(len(intact))] + [intact + b"\0", b"", b"{}", b"\0" * 4096]
    for content in damaged:
        path.write_bytes(content)
        assert cache.load_arrays("x", "key", "1") is None
    assert cache.store_arrays("x", "key", "1", some_arrays())  # and it can be written anew
    assert_same(cache.load_arrays("x", "key", "1"), some_arrays())


def test_a_file_of_another_entry_is_not_used(folder: Path) -> None:
    cache.store_arrays("x", "other", "1", some_arrays())
    other = stored_file(folder)
    cache.store_arrays("x", "key", "1", {"a": np.ones(3)})
    (mine,) = set(folder.iterdir()) - {other}
    mine.write_bytes(other.read_bytes())
    assert cache.load_arrays("x", "key", "1") is None


@posix
def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    cache.store_arrays("x", "key", "1", some_arrays())
    path = stored_file(folder)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert cache.load_arrays("x", "key", "1") is None


@posix
def test_only_a_private_folder_is_used(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.directory() == folder and folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    assert cache.directory() is None and not cache.store_arrays("x", "key", "1", some_arrays())
    folder.chmod(0o700)
    monkeypatch.setenv("STRUCTGEN_CACHE_DIR", str(tmp_path / "link"))
    (tmp_path / "link").symlink_to(folder)
    assert cache.directory() is None
    monkeypatch.setenv("STRUCTGEN_CACHE_DIR", str(folder))
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    assert cache.directory() is None


def test_where_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRUCTGEN_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.directory() == tmp_path / "xdg" / "structgen"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert cache.directory() == tmp_path / ".cache" / "structgen"


def test_no_folder_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setenv("STRUCTGEN_CACHE_DIR", str(path))
        assert cache.directory() is None
        assert cache.load_arrays("x", "key", "1") is None and not cache.store_arrays("x", "key", "1", some_arrays())


@pytest.mark.parametrize("call", ["replace", "fdopen"])
def test_a_full_disk_is_no_error_and_leaves_nothing_behind(call: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: Any, *_: Any) -> None:
        if isinstance(handle, int):
            os.close(handle)
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, call, full)
    assert not cache.store_arrays("x", "key", "1", some_arrays())
    assert list(folder.iterdir()) == []


def test_concurrent_writers_and_readers(folder: Path) -> None:
    wanted = {"a": np.arange(200_000)}

    def work(i: int) -> None:
        if i % 2:
            assert cache.store_arrays("x", "key", "1", wanted)
        elif (found := cache.load_arrays("x", "key", "1")) is not None:
            assert_same(found, wanted)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(60)))
    assert_same(cache.load_arrays("x", "key", "1"), wanted)
    stored_file(folder)  # exactly one: no temporary file is left


def test_mapped_arrays_outlive_the_entry() -> None:
    cache.store_arrays("x", "key", "1", {"a": np.arange(1000)})
    found = cache.load_arrays("x", "key", "1")
    cache.store_arrays("x", "key", "1", {"a": np.zeros(5)})
    assert found is not None and found["a"].tolist() == list(range(1000))


def test_another_process_finds_it() -> None:
    cache.store_arrays("x", "key", "1", {"a": np.arange(7)})
    code = "from structgen import cache; print(cache.load_arrays('x', 'key', '1')['a'].tolist())"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == str(list(range(7)))


def test_code_version_follows_the_source(tmp_path: Path) -> None:
    source = tmp_path / "m.py"
    source.write_text("a")
    before = cache.code_version(str(source))
    assert before == cache.code_version(str(source))
    source.write_text("b")
    assert before != cache.code_version(str(source))
    assert cache.code_version(str(tmp_path / "missing.py")) == cache.code_version()
