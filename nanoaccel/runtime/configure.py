"""From what users have set to the options of the engine: for Python, commands and server alike."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.machine import this_machine
from nanoaccel.runtime.cpu.threads import ENVIRONMENT, usable_override
from nanoaccel.settings import Resolved, resolve

_APART = ("backend", "replicas")


@dataclass(frozen=True, slots=True)
class Configured:
    """All options that an ``LLM`` runs with, but for what was tuned.

    Args:
        backend: Name of a backend, or "auto".
        replicas: Number of engines, or "auto".
        engine: Options of each engine. Its threads are None where the environment sets them: the
            plan of threads reads that variable itself.
        resolved: Who set what.
        arguments: What is set, by argument or otherwise, as keyword arguments for ``LLM``.
    """

    backend: str
    replicas: int | Literal["auto"]
    engine: EngineConfig
    resolved: Resolved
    arguments: Mapping[str, Any]


def configure(arguments: Mapping[str, Any]) -> Configured:
    """Complete arguments of ``LLM`` by the environment and by nanoaccel.toml.

    Args:
        arguments: Keyword arguments, but for ``on_event``; None is not given.

    Raises:
        ConfigError: A value is wrong; the message says where it was set.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    resolved = resolve("engine", given, _environment())
    values: dict[str, Any] = {**given, **resolved.values}
    threads = resolved.found.get("threads")
    if threads is not None and threads.origin == "environment":
        del values["threads"]
    with resolved.naming_places():
        engine = EngineConfig(**{k: value for k, value in values.items() if k not in _APART})
    return Configured(
        backend=cast(str, values.get("backend", "auto")),
        replicas=values.get("replicas", "auto"),
        engine=engine,
        resolved=resolved,
        arguments=values,
    )


def _environment() -> dict[str, str]:
    """The variables, without a number of threads that this machine cannot follow."""
    variables = dict(os.environ)
    if usable_override(variables, len(this_machine().allowance.cpus)) is None:
        variables.pop(ENVIRONMENT, None)
    return variables
