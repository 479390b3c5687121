"""``nanoaccel config`` and the options of the log, in this process and in others."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.logs import LOGGERS
from nanoaccel.settings import SETTINGS

from .conftest import RunCli

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a nanoaccel.toml, in which commands run."""
    for item in SETTINGS:
        if item.variable != "NANOACCEL_CACHE":
            monkeypatch.delenv(item.variable, raising=False)
    monkeypatch.delenv("NANOACCEL_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "nanoaccel.toml").write_text("[engine]\nthreads = 1\nmax_running = 5\n")
    monkeypatch.chdir(folder)
    return folder


def rows(text: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(text)["settings"]}


def test_config_shows_where_values_come_from(
    project: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NANOACCEL_API_KEY", "sk-very-secret")
    monkeypatch.setenv("NANOACCEL_MAX_WAITING", "6")
    ended = run_cli("config", "--speculation", "off", "--json")
    assert (ended.code, ended.err) == (0, "")
    found = rows(ended.out)
    place = str(project / "nanoaccel.toml")
    for name, value, origin, where in (
        ("engine.threads", 1, "file", f"{place}, line 2"),
        ("engine.max_running", 5, "file", f"{place}, line 3"),
        ("engine.max_waiting", 6, "environment", "NANOACCEL_MAX_WAITING"),
        ("engine.speculation", "off", "argument", ""),
        ("engine.precision", "auto", "default", ""),
        ("server.api_keys", "***", "environment", "NANOACCEL_API_KEY"),
    ):
        assert found[name] == {"name": name, "value": value, "origin": origin, "place": where}
    assert json.loads(ended.out)["files"] == [place]
    text = run_cli("config").out
    assert re.search(rf"engine.max_running +5 +{re.escape(place)}, line 3\n", text)
    assert "sk-very-secret" not in ended.out + text


@pytest.mark.usefixtures("project")
def test_config_shows_what_was_tuned(
    run_cli: RunCli, letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nanoaccel.runtime.execution.tuned import stored
    from nanoaccel.runtime.execution.tuned.setting import Setting

    setting = Setting(threads=2, max_step_tokens=64, cache_precision="u8", quantization_group=32)
    monkeypatch.setattr(stored, "tuned_setting", lambda *_: setting)
    found = rows(run_cli("config", letters, "--cache-precision", "f16", "--json").out)
    assert (
        found["engine.max_step_tokens"]["value"],
        found["engine.max_step_tokens"]["origin"],
    ) == (
        64,
        "tuned",
    )
    assert found["engine.threads"]["value"] == 1  # the project's file goes first
    assert found["engine.cache_precision"]["value"] == "f16"
    assert found["engine.quantization_group"]["origin"] == "tuned"


def test_commands_run_with_the_projects_settings(
    project: Path, run_cli: RunCli, letters: Path
) -> None:
    (project / "nanoaccel.toml").write_text("[engine]\ncontext_length = 200\n")
    ended = run_cli("generate", letters, "abc")
    assert ended.code == 2
    assert f"{project / 'nanoaccel.toml'}, line 2: context_length=200 is more than" in ended.err
    assert run_cli("generate", letters, "abc", "--context-length", "64").code == 0


@pytest.mark.usefixtures("project")
def test_log_options_stand_anywhere_and_end_with_the_command(
    run_cli: RunCli, letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [(logging.getLogger(n).handlers[:], logging.getLogger(n).propagate) for n in LOGGERS]
    warned = ("generate", letters, "abc", "--threads", "1")
    monkeypatch.setenv("NANOACCEL_THREADS", "lots")
    assert run_cli("cpu", "--log-level").code == 2
    ended = run_cli(*warned, "--log-level=loud")
    assert ended.code == 2
    assert ended.err.startswith("error: --log-level 'loud' is unknown")
    monkeypatch.setenv("NANOACCEL_LOG_FORMAT", "xml")
    assert "NANOACCEL_LOG_FORMAT='xml' has the wrong type" in run_cli(*warned).err
    after = [(logging.getLogger(n).handlers[:], logging.getLogger(n).propagate) for n in LOGGERS]
    assert after == before


@pytest.mark.parametrize("form", ["text", "json"])
def test_processes_log_as_they_are_told(form: str, project: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    code = (
        "import sys\nfrom nanoaccel.cli import main\n"
        "from nanoaccel.folders import tell_unusable\n"
        "main._invoke = lambda *_: tell_unusable(OSError(28, 'No space'))\n"
        "sys.exit(main.main(sys.argv[1:]))"
    )
    (project / "nanoaccel.toml").write_text(f'[log]\nformat = "{form}"')
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, "list"]
    told = subprocess.run(command, capture_output=True, text=True, env=env, check=True).stderr
    (line,) = told.splitlines()
    if form == "json":
        found = json.loads(line)
        assert (found["level"], found["logger"]) == ("warning", "nanoaccel.cache")
        assert set(found) == {"time", "level", "logger", "message"}
        assert "No space" in found["message"]
    else:
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d nanoaccel\.cache warning: the cache", line)
    command = [*command, "--log-level", "error"]
    assert subprocess.run(command, capture_output=True, text=True, env=env).stderr == ""


def test_library_leaves_logging_alone() -> None:
    code = (
        "import logging, nanoaccel\nfrom nanoaccel import LLM\n"
        "logging.getLogger('nanoaccel.engine').error('unheard')\n"
        "root, own = logging.getLogger(), logging.getLogger('nanoaccel')\n"
        "assert not root.handlers and own.level == 0 and own.propagate\n"
        "assert [type(one).__name__ for one in own.handlers] == ['NullHandler']"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_docs_name_every_setting_and_logger() -> None:
    page = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    for item in SETTINGS:
        assert f"`{item.key}`" in page, item.name
        assert f"`{item.variable}`" in page, item.name
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "nanoaccel").rglob("*.py")]
    used = {name for text in sources for name in re.findall(r'_log = .*getLogger\("(.*)"\)', text)}
    assert used == set(re.findall(r"^\| `(nanoaccel\.\w+)` \|", page, re.MULTILINE))
