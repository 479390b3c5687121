"""What passes between the process of the user and those of the engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from logging import WARNING
from pathlib import Path

from nanoaccel.runtime.adapters.registry import RegisteredAdapter
from nanoaccel.runtime.backends import BackendInfo
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.types.events import EventKind
from nanoaccel.runtime.types.outputs import Chunk
from nanoaccel.runtime.types.pooling import Pooling


@dataclass(frozen=True, slots=True)
class Start:
    """To an engine: what to load, after the ``ThreadPlan`` that it binds itself by.

    Args:
        bundle, backend, config: As of the client.
        log_level: The lowest level of what it logs that is worth telling.
    """

    bundle: Path
    backend: str
    config: EngineConfig
    log_level: int = WARNING


@dataclass(frozen=True, slots=True)
class Ready:
    """From an engine that has loaded.

    Args:
        info: Facts about what runs the graph.
        cache_tokens: Tokens that its cache holds.
        adaptable: As of ``AdapterHolder``; empty where it computes no adapters.
    """

    info: BackendInfo
    cache_tokens: int
    adaptable: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Failed:
    """From an engine that cannot load: the name of an error of NanoAccel, and its parts."""

    kind: str
    problem: str
    remedy: str | None


@dataclass(frozen=True, slots=True)
class SetAdapters:
    """To an engine: the adapters that completions sent after it may have."""

    adapters: tuple[RegisteredAdapter, ...]


@dataclass(frozen=True, slots=True)
class Submit:
    """To an engine: run a completion.

    Args:
        number: Number of the completion.
        prompt: Its tokens, i32 in this machine's order.
        params: How to sample it, or how its prompt becomes an embedding.
        options: How to treat it.
    """

    number: int
    prompt: bytes
    params: SamplingParams | Pooling
    options: RequestOptions


@dataclass(frozen=True, slots=True)
class Cancel:
    """To an engine: end a completion."""

    number: int


@dataclass(frozen=True, slots=True)
class Happened:
    """From an engine: an ``Event`` of a completion."""

    number: int
    kind: EventKind
    chunk: Chunk | None


@dataclass(frozen=True, slots=True)
class Refused:
    """From an engine: a completion cannot run, and why."""

    number: int
    problem: str


@dataclass(frozen=True, slots=True)
class AskCounters:
    """To an engine: how do you do?"""


@dataclass(frozen=True, slots=True)
class Counted:
    """From an engine: how it does; also the last thing that it says."""

    counters: Counters


@dataclass(frozen=True, slots=True)
class Logged:
    """From an engine: a line for the log."""

    logger: str
    level: int
    line: str


@dataclass(frozen=True, slots=True)
class Closing:
    """From an engine that was told to end, and does."""


@dataclass(frozen=True, slots=True)
class Close:
    """To an engine: end all requests, then yourself."""
