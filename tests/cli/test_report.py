"""``nanoaccel doctor --report`` and the failures in it, with secrets planted everywhere."""

from __future__ import annotations

import json
import logging
import os
import socket
import zipfile
from pathlib import Path

import pytest

from nanoaccel import failures
from nanoaccel.cli.installation.scrub import Scrubber
from nanoaccel.cli.logs import command_log
from nanoaccel.errors import ConfigError, GenerationError
from nanoaccel.failures import KEPT, describe, keep_failure, last_failures
from nanoaccel.runtime.cpu.threads import plan_here
from nanoaccel.runtime.cpu.workload import Workload
from nanoaccel.settings import SETTINGS

from .conftest import RunCli

PROMPT = "Zebras whisper quietly underwater"
KEY = "sk-plantedKey0123456789"
TOKEN = "plain-token-of-nobody"


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of somebody who has secrets everywhere; gives the home folder."""
    home = tmp_path / "home" / "jörg.privat"
    (home / ".config/nanoaccel").mkdir(parents=True)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "jprivat")
    monkeypatch.setattr(socket, "gethostname", lambda: "secrethost.corp.example")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("NANOACCEL_CACHE", str(home / "cache"))
    monkeypatch.delenv("NANOACCEL_CONFIG")
    for item in SETTINGS:
        if item.variable != "NANOACCEL_CACHE":
            monkeypatch.delenv(item.variable, raising=False)
    monkeypatch.setenv("NANOACCEL_API_KEY", f"{KEY} {TOKEN}")
    monkeypatch.setenv("NANOACCEL_BACKEND", PROMPT)
    monkeypatch.setenv("OMP_PLACES", f"{home}/{PROMPT}")
    monkeypatch.setenv("NANOACCEL_ALLOWED_HOSTS", "secrethost.corp.example")
    (home / ".config/nanoaccel/nanoaccel.toml").write_text(
        f'[engine]\nprompt_cache = "{home.as_posix()}/prompts"\neviction_policy = "{PROMPT}"\n'
        f'[server]\nhost = "secrethost"\n',
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    return home


def texts_of(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def secrets(home: Path) -> list[str]:
    names = ["jprivat", "jörg", "privat", "secrethost", "corp.example"]
    return [*PROMPT.split(), KEY, TOKEN, str(home), json.dumps(str(home))[1:-1], *names]


def raise_everywhere(home: Path) -> None:
    """Fail as commands do, with secrets in every place that an error has."""
    for error in (
        ConfigError(f"{home}/x cannot be read: {PROMPT!r} and {PROMPT} of {KEY}", f"Mend {home}"),
        GenerationError(f"the request failed: {PROMPT}"),
        KeyError(PROMPT),
        OSError(2, PROMPT, str(home)),
        ValueError(f"no value: {KEY}"),
    ):
        try:
            try:
                raise RuntimeError(f"{PROMPT} {TOKEN}")
            except RuntimeError as cause:
                raise error from cause
        except Exception as caught:
            keep_failure(caught, "generate")


def test_report_holds_no_secrets(planted: Path, run_cli: RunCli, tmp_path: Path) -> None:
    raise_everywhere(planted)
    assert len(last_failures()) == 5
    run_cli("generate", planted / PROMPT, PROMPT, "--threads", "1")
    run_cli("inspect", planted / PROMPT)
    assert len(last_failures()) > 5
    run_cli("doctor", "--report", tmp_path / "report.zip")
    found = texts_of(tmp_path / "report.zip")
    assert set(found) == {
        "README.txt", "doctor.txt", "plan.json", "settings.json", "environment.json",
        "failures.json",
    }  # fmt: skip
    for name, text in found.items():
        for secret in secrets(planted):
            assert secret.lower() not in text.lower(), f"{secret} in {name}"
    settings = {row["name"]: row for row in json.loads(found["settings.json"])["settings"]}
    assert settings["engine.prompt_cache"] == {
        "name": "engine.prompt_cache", "value": "<set>", "from": "file",
    }  # fmt: skip
    assert settings["engine.max_running"]["value"] == 32
    assert settings["server.api_keys"]["value"] == "<set>"
    assert "numpy" in found["doctor.txt"]
    assert json.loads(found["plan.json"])["plans"]["decode"]["threads"] >= 1


def test_report_of_wrong_settings_is_written_nevertheless(
    planted: Path, run_cli: RunCli, tmp_path: Path
) -> None:
    (planted / ".config/nanoaccel/nanoaccel.toml").write_text(f'[engine]\n"{PROMPT}" = 2')
    before = dict(os.environ)
    ended = run_cli("doctor", "--report", tmp_path / "report.zip")
    assert ended.code == 1
    assert "is unknown" in ended.out
    assert dict(os.environ) == before
    found = texts_of(tmp_path / "report.zip")
    broken = json.loads(found["settings.json"])["broken"]
    assert broken["class"] == "nanoaccel.errors.ConfigError"
    assert "is unknown" in broken["message"]
    for secret in secrets(planted):
        assert secret.lower() not in "".join(found.values()).lower()


def test_report_that_cannot_be_written_is_refused(run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = run_cli("doctor", "--report", tmp_path / "file" / "report.zip")
    assert ended.code == 2
    assert "--report" in ended.err
    assert "cannot be written" in ended.err


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NANOACCEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.usefixtures("cache")
def test_failures_say_what_ours_is(run_cli: RunCli) -> None:
    assert run_cli("cpu", "--threads", "999").code == 2
    (failure,) = last_failures()
    assert failure["command"] == "cpu"
    assert failure["class"] == "nanoaccel.errors.ConfigError"
    assert failure["message"].startswith("threads=999 is more than the ")
    assert failure["message"].endswith("Lower it, or leave it out")
    assert any(place.startswith("runtime/cpu/threads.py:") for place in failure["frames"])
    run_cli("generate", "--no-such-option")  # wrong usage is no failure
    assert len(last_failures()) == 1


def test_failures_are_a_ring_and_never_in_the_way(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(KEPT + 3):
        keep_failure(ConfigError("x"), f"{number}")
    assert [entry["command"] for entry in last_failures()] == [str(n) for n in range(3, KEPT + 3)]
    failures.failures_file().write_text('{"not": "a list"}')
    assert last_failures() == []
    keep_failure(ConfigError("x"), "again")
    assert len(last_failures()) == 1
    (cache / "failures.json").unlink()
    cache.rmdir()
    cache.write_text("")  # no folder can be there
    keep_failure(ConfigError("x"), "nowhere")
    monkeypatch.setenv("NANOACCEL_CONFIG", str(cache / "no.toml"))
    monkeypatch.delenv("NANOACCEL_CACHE")
    keep_failure(ConfigError("x"), "nowhere")


@pytest.mark.usefixtures("cache")
def test_failures_that_are_logged_are_kept_once(capsys: pytest.CaptureFixture[str]) -> None:
    with command_log("serve", {}):
        for _ in range(3):
            try:
                raise ValueError(PROMPT)
            except ValueError:
                logging.getLogger("nanoaccel.server").exception("a handler failed")
    (failure,) = last_failures()
    assert (failure["command"], failure["class"]) == ("serve", "builtins.ValueError")
    assert PROMPT not in json.dumps(failure)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["logger"] for line in lines] == ["nanoaccel.server"] * 3
    assert "ValueError" in lines[0]["exception"]


def test_describe_keeps_no_text_between_quotes() -> None:
    with pytest.raises(ConfigError) as caught:
        plan_here(Workload(threads=999))
    error = ConfigError("threads 'is more' and \"this process\" or 'may use", "Lower it")
    described = describe(error.with_traceback(caught.tb))
    assert described["message"] == "threads … and … or …"


def test_scrubber_knows_keys_by_their_form() -> None:
    scrubber = Scrubber(["mine-alone"], {"HOME": "/home/ann", "USER": "ann"})
    text = "mine-alone hf_abcdefgh1234 Bearer x.y http://ann:pw@host /home/ann/x ann annual"
    told = scrubber.scrub(text)
    assert told.split()[:2] == ["<secret>", "<secret>"]
    for gone in ("mine-alone", "hf_", "x.y", "pw", "/home/ann"):
        assert gone not in told
    assert told.endswith("~/x <user> annual")
