"""``nanoaccel doctor --report``: a zip of readable files for a bug report."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nanoaccel.cli.effective import Effective, effective_settings
from nanoaccel.cli.installation.scrub import Scrubber
from nanoaccel.errors import ConfigError
from nanoaccel.failures import describe, last_failures
from nanoaccel.folders import whole_file
from nanoaccel.settings import SETTINGS, resolve

_SET = "<set>"
_PLAIN = re.compile(r"[A-Za-z0-9_.+-]{1,32}")
# Others could hold anything; these are numbers and switches that change how fast something runs.
_VARIABLES = re.compile(r"(OMP|KMP|GOMP|OPENBLAS|MKL|ORT|OV|OPENVINO|MALLOC|PYTHON)_?[A-Z0-9_]*")
_README = """\
This is a report about an installation of NanoAccel, for a bug report.

doctor.txt       versions, machine, and what is wrong
plan.json        processor, what this process may use of it, and the plan of threads
settings.json    every setting, and where its value comes from
environment.json variables of NanoAccel and of the libraries that compute
failures.json    the last failures of commands and servers: class, message, and place

It holds no prompts, texts, keys, names of users or hosts, or folders of a home: values that could
be any text are shown as <set>, and words of messages that are not NanoAccel's own as "…". Read it
before you send it.
"""


def write_report(
    path: Path, doctor: str, broken: ConfigError | None, variables: Mapping[str, str]
) -> None:
    """Write the report.

    Args:
        path: The zip; one that exists is replaced.
        doctor: What ``nanoaccel doctor`` says.
        broken: What is wrong with the settings, when they cannot be read.
        variables: The environment.

    Raises:
        ConfigError: The file cannot be written.
    """
    scrubber = Scrubber(_secrets(), variables)
    parts: dict[str, Callable[[], str]] = {
        "README.txt": lambda: _README,
        "doctor.txt": lambda: f"{doctor}\n",
        "plan.json": lambda: _json(_plan()),
        "settings.json": lambda: _json(_settings(broken)),
        "environment.json": lambda: _json(_environment(variables)),
        "failures.json": lambda: _json(last_failures()),
    }
    texts = {name: scrubber.scrub(_made(make)) for name, make in parts.items()}
    try:
        with whole_file(path) as partial, zipfile.ZipFile(partial, "w") as archive:
            for name, text in texts.items():
                archive.writestr(name, text, zipfile.ZIP_DEFLATED)
    except OSError as error:
        raise ConfigError(
            f"--report {path} cannot be written: {error.strerror}", "Name another file"
        ) from error


def _made(make: Callable[[], str]) -> str:
    """A part of the report; when it fails, why: a report is most needed where something fails."""
    try:
        return make()
    except Exception as error:
        return _json({"failed": describe(error)})


def _json(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n"


def _plan() -> dict[str, Any]:
    from nanoaccel.cli.commands.cpu import machine_facts

    return machine_facts(None)


def _settings(broken: ConfigError | None) -> dict[str, Any]:
    found: dict[str, Any] = {} if broken is None else {"broken": describe(broken)}
    return found | {"settings": [_shown(row) for row in effective_settings(None, {})]}


def _shown(row: Effective) -> dict[str, object]:
    value: object = row.value
    if row.origin != "default":
        value = _harmless(value) if row.public else _SET
    elif not row.public:
        value = None
    origin = row.place if row.origin == "environment" else row.origin
    return {"name": row.name, "value": value, "from": origin}


def _harmless(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, tuple):
        return [_harmless(item) for item in value]
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else _SET


def _environment(variables: Mapping[str, str]) -> dict[str, object]:
    public = {setting.variable for setting in SETTINGS if setting.kind.public}
    return {
        name: _harmless(value) if name in public or _VARIABLES.fullmatch(name) else _SET
        for name, value in sorted(variables.items())
        if name.startswith("NANOACCEL_") or _VARIABLES.fullmatch(name)
    }


def _secrets() -> list[str]:
    """Values of settings that nobody may see."""
    found: list[str] = []
    try:
        for key, value in resolve("server").found.items():
            if key in {setting.key for setting in SETTINGS if setting.kind.secret}:
                assert isinstance(value.value, tuple)
                found += map(str, value.value)
    except ConfigError:  # then nothing of them is read, and so nothing shown
        pass
    return found
