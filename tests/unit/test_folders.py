from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nanoaccel.folders import cache_folder, whole_file


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        ("linux", {"NANOACCEL_CACHE": "/chosen"}, "/chosen"),
        ("linux", {}, "/home/me/.cache/nanoaccel"),
        ("linux", {"XDG_CACHE_HOME": ""}, "/home/me/.cache/nanoaccel"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/nanoaccel"),
        ("darwin", {"XDG_CACHE_HOME": "/xdg"}, "/home/me/Library/Caches/nanoaccel"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/nanoaccel"),
        ("win32", {}, "/home/me/AppData/Local/nanoaccel"),
    ],
)
def test_cache_folder_is_where_the_system_has_it(
    monkeypatch: pytest.MonkeyPatch, system: str, variables: dict[str, str], expected: str
) -> None:
    for name in ("NANOACCEL_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert cache_folder() == Path(expected)


def test_whole_file_appears_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.json"
    with whole_file(path) as partial:
        partial.write_text("{}")
        assert not path.exists()
    assert path.read_text() == "{}"
    with pytest.raises(ValueError, match="broken"), whole_file(path) as partial:  # noqa: PT012
        partial.write_text("half")
        raise ValueError("broken")
    assert path.read_text() == "{}"
    assert list(path.parent.iterdir()) == [path]


def test_whole_file_is_whole_when_two_write_it(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    with whole_file(path) as first, whole_file(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]
