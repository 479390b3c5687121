"""Which process an engine belongs to: threads do not follow a fork."""

from __future__ import annotations

import os

from nanoaccel.errors import ForkedError


class Owner:
    """The process that made it."""

    __slots__ = ("_pid",)

    def __init__(self) -> None:
        self._pid = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether this is that process, and not a fork of it."""
        return os.getpid() == self._pid

    def check(self) -> None:
        """Refuse to go on in a fork.

        Raises:
            ForkedError: This is one.
        """
        if not self.is_here:
            raise ForkedError(
                f"this LLM was opened in process {self._pid}, of which process {os.getpid()} is a "
                "fork without its threads",
                "Open the bundle after the fork, or start processes with multiprocessing's "
                '"spawn" or "forkserver"',
            )
