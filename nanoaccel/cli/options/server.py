"""Options of the server: where it listens, who may ask, and what it holds in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from nanoaccel.cli.options.panels import in_server
from nanoaccel.sizes import parse_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How the server runs; None is as set, or the default of ``ServerConfig``."""

    host: Annotated[
        str | None,
        in_server(
            metavar="ADDRESS",
            help="Address to listen at; 0.0.0.0 is every one.",
            show_default="127.0.0.1",
        ),
    ] = None
    port: Annotated[
        int | None, in_server(help="Port to listen at; 0 takes a free one.", show_default="8080")
    ] = None
    api_key: Annotated[
        list[str] | None,
        in_server(
            metavar="KEY",
            help="A key that requests must carry; may be repeated. Also NANOACCEL_API_KEY.",
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
        float | None,
        in_server(
            metavar="SECONDS",
            help="Time that running requests have to end on SIGTERM.",
            show_default="30",
        ),
    ] = None
    max_connections: Annotated[
        int | None,
        in_server(
            help="Connections that may be open; requests of others are told to try again.",
            show_default="512",
        ),
    ] = None
    load_adapters: Annotated[
        bool | None,
        in_server(
            "--load-adapters/--no-load-adapters",
            show_default="no-load-adapters",
            help="Let clients load and unload adapters from folders of this machine "
            "(/v1/load_lora_adapter).",
        ),
    ] = None
    log_requests: Annotated[
        bool | None,
        in_server(
            "--log-requests/--no-log-requests",
            help="Write prompts and answers into the log.",
            show_default="no-log-requests",
        ),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """Settings of the table ``server``, as far as they are given.

        Raises:
            ConfigError: ``--memory`` is no size.
        """
        return {
            "host": self.host,
            "port": self.port,
            "api_keys": _listed(self.api_key),
            "api_key_file": self.api_key_file,
            "allowed_hosts": _listed(self.allowed_host),
            "cors": _listed(self.cors),
            "memory": None if self.memory is None else parse_bytes("--memory", self.memory),
            "keep_alive": self.keep_alive,
            "drain": self.drain,
            "max_connections": self.max_connections,
            "load_adapters": self.load_adapters,
            "log_requests": self.log_requests,
        }


def _listed(values: list[str] | None) -> tuple[str, ...] | None:
    return tuple(values) if values else None
