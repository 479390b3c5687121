from __future__ import annotations

from pathlib import Path

import pytest

from nanoaccel.cached_json import (
    file_of,
    load_json,
    load_or_none,
    store_json,
    versions_of,
    write_json,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return file_of(tmp_path / "speeds", "a graph\nwith a long name" * 99, "a machine/another.one")


def test_remembered_values_are_recalled(file: Path, tmp_path: Path) -> None:
    store_json(file, {"1": 0.5})
    store_json(file, {"1": 0.25})
    assert load_json(file, lambda found: found["1"]) == 0.25
    assert list(file.parent.iterdir()) == [file]
    assert file.parents[1] == tmp_path / "speeds"


def test_file_of_differs_by_each_name(tmp_path: Path) -> None:
    all_names = [("a", "b"), ("a", "c"), ("b", "a"), ("ab",), ("a",)]
    assert len({file_of(tmp_path, *names) for names in all_names}) == len(all_names)


@pytest.mark.parametrize("content", [b"", b"[1,", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000])
def test_recall_of_a_damaged_file_says_so_in_one_line(file: Path, content: bytes) -> None:
    store_json(file, {})
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"^.+$"):
        load_json(file, lambda found: found["a"]["b"])
    assert load_or_none(file, lambda found: found["a"]) is None


def test_recall_of_what_is_not_there(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_json(file, lambda found: found)
    assert load_or_none(file, lambda found: found) is None


def test_remember_says_once_that_the_cache_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    cache = tmp_path / "file" / "cache"
    monkeypatch.setenv("NANOACCEL_CACHE", str(cache))
    for name in ("one", "two"):
        store_json(file_of(cache / "speeds", name), {})
        assert load_or_none(file_of(cache / "speeds", name), lambda found: found) is None
    (line,) = caplog.messages
    assert line.startswith(f"the cache folder {cache} cannot be written (Not a directory")
    assert "NANOACCEL_CACHE" in line


def test_write_raises_where_the_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "speeds").write_text("a file")
    with pytest.raises(OSError, match="speeds"):
        write_json(file_of(tmp_path / "speeds", "a graph"), {})


def test_versions_of_names_what_is_installed() -> None:
    found = versions_of(("numpy", "no-such-package"))
    assert list(found) == ["numpy"]
