from __future__ import annotations

from pathlib import Path

import pytest

from nanoaccel.config_file import config_paths, read_config, user_file
from nanoaccel.errors import ConfigError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder inside a project, with a home folder of its own."""
    monkeypatch.delenv("NANOACCEL_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "home"))
    folder = tmp_path / "project" / "deep" / "er"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def test_files_of_the_project_and_the_user_count(here: Path) -> None:
    assert read_config().files == ()
    project = here.parents[1] / "nanoaccel.toml"
    project.write_text('disable = ["one", "two"]')
    user_file().parent.mkdir(parents=True)
    user_file().write_text('disable = ["three"]')
    assert config_paths() == [project, user_file()]
    assert read_config().disable == ("one", "two", "three")
    (here / "nanoaccel.toml").write_text("")
    assert config_paths() == [here / "nanoaccel.toml", user_file()]
    assert read_config().disable == ("three",)


def test_change_of_a_file_is_noticed(here: Path) -> None:
    file = here / "nanoaccel.toml"
    file.write_text('disable = ["one"]')
    assert read_config().disable == ("one",)
    file.write_text('disable = ["one", "two"]')
    assert read_config().disable == ("one", "two")


def test_variable_names_one_file_or_none(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "nanoaccel.toml").write_text('disable = ["one"]')
    monkeypatch.setenv("NANOACCEL_CONFIG", "")
    assert config_paths() == []
    other = here / "other.toml"
    monkeypatch.setenv("NANOACCEL_CONFIG", str(other))
    with pytest.raises(ConfigError, match=r"NANOACCEL_CONFIG=.*other\.toml is no file"):
        read_config()
    other.write_text('disable = ["two"]')
    assert read_config().disable == ("two",)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"disabled = []", r"nanoaccel\.toml: disabled is unknown. Did you mean 'disable'"),
        (b'disable = "one"', r"disable='one' has the wrong type. Write disable = \[\"name\"\]"),
        (b"disable = [1]", "has the wrong type"),
        (b"disable = [\n=", r"nanoaccel\.toml is broken in line 2"),
        (b"\xff", "cannot be read: it is not UTF-8"),
    ],
)
def test_wrong_files_are_refused_by_name(content: bytes, told: str, here: Path) -> None:
    (here / "nanoaccel.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=told):
        read_config()
