from __future__ import annotations

from pathlib import Path

import pytest

from nanoaccel.config_file import config_paths, user_file
from nanoaccel.errors import ConfigError
from nanoaccel.settings import setting
from nanoaccel.settings.files import read_files


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


def disabled() -> object:
    found = setting("disable")
    return () if found is None else found.value


def test_files_of_the_project_and_the_user_count(here: Path) -> None:
    assert read_files() == ()
    project = here.parents[1] / "nanoaccel.toml"
    project.write_text('disable = ["one", "two"]')
    user_file().parent.mkdir(parents=True)
    user_file().write_text('disable = ["three"]')
    assert config_paths() == [project, user_file()]
    assert disabled() == ("one", "two", "three")
    (here / "nanoaccel.toml").write_text("")
    assert config_paths() == [here / "nanoaccel.toml", user_file()]
    assert disabled() == ("three",)


def test_change_of_a_file_is_noticed(here: Path) -> None:
    file = here / "nanoaccel.toml"
    file.write_text('disable = ["one"]')
    assert disabled() == ("one",)
    file.write_text('disable = ["one", "two"]')
    assert disabled() == ("one", "two")


def test_variable_names_one_file_or_none(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "nanoaccel.toml").write_text('disable = ["one"]')
    monkeypatch.setenv("NANOACCEL_CONFIG", "")
    assert config_paths() == []
    other = here / "other.toml"
    monkeypatch.setenv("NANOACCEL_CONFIG", str(other))
    with pytest.raises(ConfigError, match=r"NANOACCEL_CONFIG=.*other\.toml is no file"):
        read_files()
    other.write_text('disable = ["two"]')
    assert disabled() == ("two",)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"disabled = []", r"nanoaccel\.toml, line 1: disabled is unknown. Did you mean 'disable'"),
        (b'disable = "one"', r"disable='one' has the wrong type. Write disable = \[\"name\"\]"),
        (b"disable = [1]", "has the wrong type"),
        (
            b"\n[engine]\n\nthread = 2",
            r"line 4: engine.thread is unknown. Did you mean 'engine.threads'",
        ),
        (b"[engine]\nport = 2", r"line 2: engine.port is unknown. Did you mean 'server.port'"),
        (b"threads = 2", r"line 1: threads is unknown. Did you mean 'engine.threads'"),
        (b"[serving]\nport = 2", r"serving is unknown. Did you mean 'server'"),
        (b"engine = 3", r"line 1: engine is a table. Write \[engine\]"),
        (b"engine.threads = true", r"line 1: engine.threads=True has the wrong type"),
        (b'[engine]\nthreads = "2"', r"line 2: engine.threads='2' has the wrong type"),
        (
            b'[log]\nlevel = "loud"',
            r"log.level='loud' has the wrong type. Write level = \"debug\" or",
        ),
        (b'[server]\napi_keys = "sk-1"', r"server.api_keys has the wrong type"),
        (b'isa = "avx2"', "isa is unknown"),
        (b"disable = [\n=", r"nanoaccel\.toml is broken in line 2"),
        (b"\xff", "cannot be read: it is not UTF-8"),
    ],
)
def test_wrong_files_are_refused_by_name(content: bytes, told: str, here: Path) -> None:
    (here / "nanoaccel.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=told):
        read_files()
