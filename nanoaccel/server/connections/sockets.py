"""Sockets of clients: noticed when nobody is at the other end, and allowed in number."""

from __future__ import annotations

import socket
import sys

# Files of a process beside its clients: bundles, pipes, the log.
_OTHER_FILES = 256
_IDLE, _INTERVAL, _PROBES = 60, 15, 4


def notice_silence(client: socket.socket, seconds: float) -> None:
    """Have the system end a connection whose other end is gone, or takes nothing.

    Args:
        client: The connection.
        seconds: How long what is sent may stay unread; only Linux can limit that. Without
            anything to send, a lost machine is noticed after two minutes.
    """
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        "TCP_KEEPIDLE": _IDLE,
        "TCP_KEEPINTVL": _INTERVAL,
        "TCP_KEEPCNT": _PROBES,
        "TCP_USER_TIMEOUT": int(1000 * seconds),
    }
    for name, value in options.items():
        number = getattr(socket, name, None)
        if number is not None:
            client.setsockopt(socket.IPPROTO_TCP, number, value)


def was_reset(client: socket.socket) -> bool:
    """Whether the other end has said that it takes nothing more."""
    return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def allow_files(connections: int) -> None:
    """Raise the number of files that this process may open, as far as it may.

    Args:
        connections: Clients that shall have room.
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
