"""Options of the server: where it listens, who may ask, and what it holds in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from nanoaccel.cli.options.panels import in_server
from nanoaccel.errors import ConfigError
from nanoaccel.sizes import parse_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How the server runs; the defaults are those of ``ServerConfig``."""

    host: Annotated[
        str, in_server(metavar="ADDRESS", help="Address to listen at; 0.0.0.0 is every one.")
    ] = "127.0.0.1"
    port: Annotated[int, in_server(help="Port to listen at; 0 takes a free one.")] = 8080
    api_key: Annotated[
        list[str] | None,
        in_server(
            metavar="KEY",
            help="A key that requests must carry; may be repeated.",
            envvar="NANOACCEL_API_KEY",
        ),
    ] = None
    api_key_file: Annotated[
        Path | None, in_server(metavar="FILE", help="Keys, one a line; # begins a comment.")
    ] = None
    allowed_host: Annotated[
        list[str] | None,
        in_server(metavar="NAME", help="A name that clients may call the server; repeatable."),
    ] = None
    cors: Annotated[
        list[str] | None,
        in_server(
            metavar="ORIGIN",
            help="A site whose pages may call the server, such as https://example.org; may be "
            "repeated.",
        ),
    ] = None
    memory: Annotated[
        str | None,
        in_server(
            metavar="SIZE",
            help="Memory for loaded bundles; those that nobody uses make room for others.",
        ),
    ] = None
    keep_alive: Annotated[
        float | None,
        in_server(metavar="SECONDS", help="Close a bundle that nobody has used for so long."),
    ] = None
    drain: Annotated[
        float,
        in_server(metavar="SECONDS", help="Time that running requests have to end on SIGTERM."),
    ] = 30.0
    max_connections: Annotated[
        int,
        in_server(help="Connections that may be open; requests of others are told to try again."),
    ] = 512
    load_adapters: Annotated[
        bool,
        in_server(
            "--load-adapters",
            help="Let clients load and unload adapters from folders of this machine "
            "(/v1/load_lora_adapter).",
        ),
    ] = False
    log_requests: Annotated[
        bool, in_server("--log-requests", help="Write prompts and answers into the log.")
    ] = False

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``ServerConfig``.

        Raises:
            ConfigError: ``--memory`` is no size, or the file of keys cannot be read or has none.
        """
        return {
            "host": self.host,
            "port": self.port,
            "api_keys": (*_listed(self.api_key), *self._file_keys()),
            "allowed_hosts": _listed(self.allowed_host),
            "cors": _listed(self.cors),
            "memory": None if self.memory is None else parse_bytes("--memory", self.memory),
            "keep_alive": self.keep_alive,
            "drain": self.drain,
            "max_connections": self.max_connections,
            "load_adapters": self.load_adapters,
            "log_requests": self.log_requests,
        }

    def _file_keys(self) -> list[str]:
        if self.api_key_file is None:
            return []
        try:
            text = self.api_key_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"--api-key-file {self.api_key_file} cannot be read: {error}", "Name a text file"
            ) from None
        lines = [line.partition("#")[0].strip() for line in text.splitlines()]
        keys = [line for line in lines if line]
        if not keys:  # an empty one must not open the server to all
            raise ConfigError(
                f"--api-key-file {self.api_key_file} holds no key", "Write one key a line"
            )
        return keys


def _listed(values: list[str] | None) -> tuple[str, ...]:
    return () if values is None else tuple(values)
