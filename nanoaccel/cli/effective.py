"""Every setting with the value that counts and where that comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanoaccel.cli.logs import log_defaults
from nanoaccel.folders import cache_folder
from nanoaccel.settings import SETTINGS, Found, Origin, Setting, resolve

if TYPE_CHECKING:
    from nanoaccel.runtime.configure import Configured

HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Effective:
    """A setting as it counts.

    Args:
        name: Table and key.
        value: Its value; None is chosen when it is needed. That of a secret is not told.
        origin: Kind of who gave it.
        place: The variable, or the file and line.
        public: Whether a report of an error may show the value.
    """

    name: str
    value: object
    origin: Origin
    place: str
    public: bool


def effective_settings(bundle: Path | None, arguments: Mapping[str, Any]) -> list[Effective]:
    """All settings, in the order of the table.

    Args:
        bundle: One that was perhaps tuned for this machine.
        arguments: What was given as options of the engine.

    Raises:
        ConfigError: A value is wrong.
        BundleError: The folder is not a bundle, or is damaged.
    """
    from nanoaccel.runtime.configure import configure

    asked = configure(arguments)
    found = {f"engine.{key}": value for key, value in asked.resolved.found.items()}
    for table in ("server", "log", ""):
        prefix = f"{table}." if table else ""
        found |= {f"{prefix}{key}": value for key, value in resolve(table).found.items()}
    tuned = {} if bundle is None else dict(_tuned(bundle, asked))
    defaults = _defaults()
    rows = [
        _row(setting, tuned.pop(setting.name, None) or found.get(setting.name), defaults)
        for setting in SETTINGS
    ]
    return [
        *rows,
        *(Effective(name, value.value, "tuned", "", True) for name, value in tuned.items()),
    ]


def _row(setting: Setting, found: Found | None, defaults: Mapping[str, object]) -> Effective:
    if found is None:
        found = Found(defaults.get(setting.name), "default")
    value = HIDDEN if setting.kind.secret and found.value else found.value
    return Effective(setting.name, value, found.origin, found.place, setting.kind.public)


def _defaults() -> dict[str, object]:
    from nanoaccel.runtime.config import EngineConfig
    from nanoaccel.server.config import ServerConfig

    return {
        "engine.backend": "auto",
        "engine.replicas": "auto",
        **{f"engine.{item.name}": item.default for item in fields(EngineConfig)},
        **{f"server.{item.name}": item.default for item in fields(ServerConfig)},
        **{f"log.{key}": value for key, value in log_defaults("").items()},
        "cache": cache_folder(),
        "disable": (),
    }


def _tuned(bundle: Path, asked: Configured) -> Iterator[tuple[str, Found]]:
    """What a load of the bundle takes from its tuning, as the engine itself does."""
    from nanoaccel.bundle import Bundle
    from nanoaccel.runtime.execution.tuned.setting import apply, tuned_backend
    from nanoaccel.runtime.execution.tuned.stored import tuned_setting

    setting = tuned_setting(Bundle.open(bundle), asked.backend, asked.engine)
    applied = apply(asked.engine, setting, os.environ)
    for item in fields(applied):
        value = getattr(applied, item.name)
        if value != getattr(asked.engine, item.name):
            yield f"engine.{item.name}", Found(value, "tuned")
    backend = tuned_backend(asked.backend, asked.engine, setting)
    if backend != asked.backend:
        yield "engine.backend", Found(backend, "tuned")
