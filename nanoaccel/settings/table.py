"""All settings: the one table that Python, the commands, the server and the docs read."""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.settings.kinds import (
    ADDRESS,
    COUNT,
    HOSTS,
    KEYS,
    NAMES,
    NUMBER,
    PATH,
    SIZE,
    SWITCH,
    TEXT,
    WHOLE,
    Kind,
    choice,
)


@dataclass(frozen=True, slots=True)
class Setting:
    """Something that can be set.

    Args:
        table: Its table in nanoaccel.toml; empty for a key outside of tables.
        key: Its name there, and that of the argument in Python where there is one.
        kind: What its values are.
        variable: The environment variable that sets it.
        option: The option of commands; empty where there is none.
        in_file: Whether nanoaccel.toml may set it.
        adds_up: Whether the lists of several files count together.
        empty_counts: Whether an empty variable says "none"; else it says nothing.
    """

    table: str
    key: str
    kind: Kind
    variable: str
    option: str
    in_file: bool = True
    adds_up: bool = False
    empty_counts: bool = False

    @property
    def name(self) -> str:
        """Table and key."""
        return f"{self.table}.{self.key}" if self.table else self.key


def _engine(key: str, kind: Kind, option: str | None = None) -> Setting:
    return Setting("engine", key, kind, _variable(key), _option(key) if option is None else option)


def _server(
    key: str, kind: Kind, option: str | None = None, variable: str | None = None
) -> Setting:
    return Setting(
        "server",
        key,
        kind,
        _variable(key) if variable is None else variable,
        _option(key) if option is None else option,
    )


def _variable(key: str) -> str:
    return f"NANOACCEL_{key.upper()}"


def _option(key: str) -> str:
    return f"--{key.replace('_', '-')}"


SETTINGS = (
    _engine("backend", TEXT),
    _engine("replicas", COUNT),
    _engine("threads", WHOLE),
    _engine("precision", TEXT),
    _engine("cache_precision", TEXT),
    _engine("kv_cache_memory", SIZE),
    _engine("context_length", WHOLE),
    _engine("generation_config", TEXT, ""),
    _engine("max_step_tokens", WHOLE),
    _engine("max_running", WHOLE),
    _engine("max_waiting", WHOLE),
    _engine("max_queued_tokens", WHOLE),
    _engine("time_per_token", NUMBER),
    _engine("prefix_cache", SWITCH),
    _engine("eviction_policy", TEXT),
    _engine("prompt_cache", PATH),
    _engine("prompt_cache_size", SIZE),
    _engine("speculation", TEXT),
    _engine("draft", PATH),
    _engine("corpus_tokens", WHOLE),
    _engine("max_loaded_adapters", WHOLE),
    _engine("tuned", SWITCH, ""),
    _server("host", ADDRESS),
    # Kubernetes sets NANOACCEL_PORT by itself in pods beside a service of that name.
    _server("port", WHOLE, variable="NANOACCEL_LISTEN_PORT"),
    _server("api_keys", KEYS, "--api-key", "NANOACCEL_API_KEY"),
    _server("api_key_file", PATH),
    _server("allowed_hosts", HOSTS, "--allowed-host"),
    _server("cors", HOSTS),
    _server("memory", SIZE),
    _server("keep_alive", NUMBER),
    _server("drain", NUMBER),
    _server("max_connections", WHOLE),
    _server("load_adapters", SWITCH),
    _server("log_requests", SWITCH),
    _server("tool_parser", TEXT),
    _server("reasoning_parser", TEXT),
    Setting(
        "log",
        "level",
        choice("debug", "info", "warning", "error"),
        "NANOACCEL_LOG_LEVEL",
        "--log-level",
    ),
    Setting("log", "format", choice("text", "json"), "NANOACCEL_LOG_FORMAT", "--log-format"),
    Setting("", "cache", PATH, "NANOACCEL_CACHE", ""),
    Setting(
        "", "disable", NAMES, "NANOACCEL_DISABLE", "--disable", adds_up=True, empty_counts=True
    ),
    # Read by the compiled operators too.
    Setting("", "isa", TEXT, "NANOACCEL_ISA", "", in_file=False),
)
