"""How the server runs: bundles, address, keys and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.configure import configure
from nanoaccel.runtime.types import defaults
from nanoaccel.server.chat.families.table import REASONING_PARSERS, TOOL_PARSERS

_CACHE_SHARE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may ask, and how long a client may take.

    Args:
        body_bytes: Bytes of a body.
        header_bytes: Bytes of a request line and its headers.
        header_seconds: Seconds in which the headers must arrive.
        body_seconds: Seconds in which the body must arrive.
        write_seconds: Seconds for which a client may take nothing of what is sent to it.
        depth: Levels of nesting in a body.
        messages: Messages of a chat.
        tools: Tools of a chat.
        prompts: Prompts of one request.
        inputs: Inputs of one request for embeddings.
        n: Completions of one request, over all of its prompts.
        scores: Log-probabilities of prompts in one answer, over all of its choices.
        stops: Stop strings and stop tokens, each.
        stop_chars: Characters of a stop string.
        biases: Tokens of a logit bias.
        backlog: Chunks of a completion that wait for a slow reader before all is cancelled; of
            several completions, on average.
    """

    body_bytes: int = 8 << 20
    header_bytes: int = 32 << 10
    header_seconds: float = 15.0
    body_seconds: float = 30.0
    write_seconds: float = 60.0
    depth: int = 64
    messages: int = 2048
    tools: int = 128
    prompts: int = 128
    inputs: int = 2048
    n: int = 128
    scores: int = 1 << 20
    stops: int = 16
    stop_chars: int = 1024
    biases: int = 1024
    backlog: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Options of ``nanoaccel serve``.

    Args:
        bundles: Folders; the name of each is that of its model. The first is loaded at once.
        engine: Keyword arguments for ``LLM``, the same for each; completed by what is set in the
            environment and in nanoaccel.toml.
        host: Address to listen at.
        port: Port to listen at; 0 is a free one.
        memory: Bytes that the weights and caches of loaded bundles may take; None does not limit
            them. A cache whose size ``engine`` leaves open gets a quarter.
        keep_alive: Seconds after which a bundle that nobody uses is closed; None never.
        api_keys: Keys, one of which a request must carry; none lets everybody in.
        allowed_hosts: Values of the Host header to accept beside the loopback's; none accepts
            every one, unless the server listens at the loopback.
        cors: Origins whose pages may call the server.
        drain: Seconds that running requests have to end when the server is told to stop.
        ping: Seconds of silence after which a stream gets a comment.
        max_connections: Connections that may be open, idle ones too; requests of others are told
            to try again.
        load_adapters: Whether clients may load adapters from folders of this machine, and unload
            them.
        log_requests: Whether the log shows what was asked.
        tool_parser: How models write calls of tools; None is what their chat templates say.
        reasoning_parser: How models write thoughts; None is what their chat templates say.
        limits: Limits of single requests.

    Raises:
        ConfigError: There is no bundle, a number is out of range, or a parser is unknown.
    """

    bundles: tuple[Path, ...]
    engine: Mapping[str, Any] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 8080
    memory: int | None = None
    keep_alive: float | None = None
    api_keys: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()
    drain: float = 30.0
    ping: float = 10.0
    max_connections: int = 512
    load_adapters: bool = False
    log_requests: bool = False
    tool_parser: str | None = None
    reasoning_parser: str | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        object.__setattr__(self, "engine", configure(self.engine).arguments)
        if not self.bundles:
            raise ConfigError("there is no bundle to serve", "Name at least one folder")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port={self.port} is out of range", "It is 0 to 65535")
        if len(self.bundles) > 1 and self.engine.get("adapters"):
            raise ConfigError(
                f"adapters are given for {len(self.bundles)} bundles together",
                "Put each into its bundle: nanoaccel adapter add BUNDLE ADAPTER",
            )
        for name, known in (
            ("tool_parser", TOOL_PARSERS),
            ("reasoning_parser", REASONING_PARSERS),
        ):
            if getattr(self, name) not in (None, *known):
                raise ConfigError(
                    f"{name}={getattr(self, name)!r:.80} is unknown",
                    f"Choose one of {', '.join(known)}",
                )
        for name in ("memory", "keep_alive", "drain"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ConfigError(f"{name}={value} is out of range", "It must be 0 or more")
        if self.max_connections < 1:
            raise ConfigError(
                f"max_connections={self.max_connections} is out of range", "It must be 1 or more"
            )
        if any(not key.isascii() or not key.strip() for key in self.api_keys):
            raise ConfigError("an API key is empty or not ASCII", "Use letters and digits")

    @property
    def cache_memory(self) -> int | None:
        """Bytes for the cache of each bundle; None leaves it to the engine."""
        asked: int | None = self.engine.get("kv_cache_memory")
        if asked is None and self.memory is not None:
            return self.memory // _CACHE_SHARE
        return asked

    @property
    def max_running(self) -> int:
        """Requests that each engine runs together at most."""
        most: int = self.engine.get("max_running", defaults.RUNNING)
        return most

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")
