"""How an application of Ray Serve runs: what stands under ``args`` in its config file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.types import defaults
from nanoaccel.server.config import ServerConfig
from nanoaccel.sizes import parse_bytes

_SIZES = ("kv_cache_memory", "prompt_cache_size")
_KEYS = "NANOACCEL_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConfig:
    """Arguments of the application. Numbers may be strings, as the command line gives them.

    Args:
        bundles: Folders of bundles, the same on every node; several are separated by commas.
        engine: Keyword arguments for ``LLM``.
        min_engines: Engines that run at least.
        max_engines: Engines that run at most; None does not scale.
        queued_tokens: Tokens in the queues that call for one engine more.
        cpus: What Ray sets aside for an engine, which itself uses all cores that it may.
        gateways: Replicas of what stands before the engines.
        tool_parser: How models write calls of tools; None is what their chat templates say.
        reasoning_parser: How models write thoughts; None is what their chat templates say.
        drain: Seconds that running requests have to end when an engine is stopped.

    Raises:
        ConfigError: A value is wrong.
    """

    bundles: tuple[Path, ...]
    engine: Mapping[str, Any] = field(default_factory=dict)
    min_engines: int = 1
    max_engines: int | None = None
    queued_tokens: int = 4096
    cpus: float = 1.0
    gateways: int = 1
    tool_parser: str | None = None
    reasoning_parser: str | None = None
    drain: float = 30.0

    def __post_init__(self) -> None:
        for name in ("min_engines", "queued_tokens", "gateways"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"{name}={getattr(self, name)} is out of range", "It is 1 or more"
                )
        if self.max_engines is not None and self.max_engines < self.min_engines:
            raise ConfigError(
                f"max_engines={self.max_engines} is less than min_engines={self.min_engines}",
                "Raise it, or leave it out",
            )

    @classmethod
    def from_args(cls, args: Mapping[str, Any]) -> FleetConfig:
        """Read what Ray Serve passes to an application.

        Raises:
            ConfigError: A name is unknown, or a value is wrong.
        """
        values = dict(args)
        known = [item.name for item in fields(cls)]
        for name in values:
            if name not in known:
                close = get_close_matches(name, known, 1)
                hint = f"Did you mean {close[0]}?" if close else f"There is: {', '.join(known)}"
                raise ConfigError(f"{name!a} is no argument of the application", hint)
        bundles = values.pop("bundles", ())
        names = bundles.split(",") if isinstance(bundles, str) else bundles
        values["bundles"] = tuple(Path(name) for name in names)
        for name in values.keys() & {"min_engines", "max_engines", "queued_tokens", "gateways"}:
            values[name] = _number(name, values[name], int)
        for name in values.keys() & {"cpus", "drain"}:
            values[name] = _number(name, values[name], float)
        engine = values.get("engine", {})
        if not isinstance(engine, Mapping):
            raise ConfigError("engine is no table of names and values", "Write it in a config file")
        sizes = {name: engine[name] for name in _SIZES if isinstance(engine.get(name), str)}
        values["engine"] = {
            **engine,
            **{name: parse_bytes(f"engine.{name}", text) for name, text in sizes.items()},
        }
        return cls(**values)

    @property
    def max_running(self) -> int:
        """Requests that an engine runs together."""
        running: int = self.engine.get("max_running", defaults.RUNNING)
        return running

    @property
    def max_requests(self) -> int:
        """Requests that an engine may have; it refuses itself what its queue cannot take."""
        waiting: int = self.engine.get("max_waiting", defaults.WAITING)
        return 2 * (self.max_running + waiting)

    def server(self) -> ServerConfig:
        """How each engine's server runs; the keys are those of its own environment.

        Raises:
            ConfigError: There is no bundle, or a key is not ASCII.
        """
        return ServerConfig(
            bundles=self.bundles,
            engine=self.engine,
            host="0.0.0.0",  # clients call it by the cluster's names
            api_keys=tuple(os.environ.get(_KEYS, "").split()),
            drain=self.drain,
            tool_parser=self.tool_parser,
            reasoning_parser=self.reasoning_parser,
        )


def _number(name: str, value: Any, kind: type[int] | type[float]) -> int | float | None:
    if value is None and name == "max_engines":
        return None
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{name}={value!a} is no number", "Give a number") from None
