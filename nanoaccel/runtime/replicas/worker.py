"""The beginning of an engine's process: bound to its CPUs and memory before anything is loaded."""

from __future__ import annotations

import os
import signal
from typing import IO

from nanoaccel.runtime.cpu.binding import bind_thread
from nanoaccel.runtime.replicas.wire import receive


def main() -> None:
    """Serve what comes in through standard input, until it ends."""
    # Ctrl-C reaches the whole group; what becomes of the requests, the user's process decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    commands, answers = _take_pipes()
    try:
        plan = receive(commands)
        refused = bind_thread(plan)
        from nanoaccel.runtime.replicas.host import Host

        Host(commands, answers).run(plan, refused)
    except EOFError:  # nobody waits for this process any more
        return


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Standard input and output for messages alone; what is printed goes where errors go."""
    commands, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return commands, answers
