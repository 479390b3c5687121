"""From what users have set to how the server runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from nanoaccel.errors import ConfigError
from nanoaccel.server.config import ServerConfig
from nanoaccel.settings import Resolved, resolve

_PARSERS = ("tool_parser", "reasoning_parser")


def configure_server(
    bundles: tuple[Path, ...], engine: Mapping[str, Any], arguments: Mapping[str, Any]
) -> ServerConfig:
    """Complete arguments by the environment and by nanoaccel.toml.

    Args:
        bundles: As of ``ServerConfig``.
        engine: Keyword arguments for ``LLM``.
        arguments: Settings of the table ``server``; None is not given.

    Raises:
        ConfigError: A value is wrong, or the file of keys cannot be read or has none.
    """
    return _configured(bundles, engine, resolve("server", arguments))


def configure_parsers(
    bundles: tuple[Path, ...], engine: Mapping[str, Any], arguments: Mapping[str, Any]
) -> ServerConfig:
    """The same where nobody connects: only how models write calls and thoughts is taken."""
    found = resolve("server", arguments).found
    return _configured(
        bundles, engine, Resolved({key: found[key] for key in _PARSERS if key in found})
    )


def _configured(
    bundles: tuple[Path, ...], engine: Mapping[str, Any], resolved: Resolved
) -> ServerConfig:
    values: dict[str, Any] = resolved.values
    file = cast("Path | None", values.pop("api_key_file", None))
    if file is not None:
        values["api_keys"] = (*values.get("api_keys", ()), *_file_keys(file))
    with resolved.naming_places():
        return ServerConfig(bundles=bundles, engine=engine, **values)


def _file_keys(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--api-key-file {file} cannot be read: {error}", "Name a text file"
        ) from None
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    keys = [line for line in lines if line]
    if not keys:  # an empty one must not open the server to all
        raise ConfigError(f"--api-key-file {file} holds no key", "Write one key a line")
    return keys
