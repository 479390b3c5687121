"""Engines in processes of their own, asked one at a time over a pipe."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

_Self = TypeVar("_Self", bound="Worker")
_WATCHED = {"RssAnon": "anonymous", "VmHWM": "resident"}


class EngineFailed(SystemExit):
    """An engine gave no answer; ends a benchmark that does not expect it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What some prompts took that were asked at once.

    Args:
        first: Seconds until each had its first token.
        total: Seconds until all had ended.
        tokens: Generated for all of them.
    """

    first: float
    total: float
    tokens: int


class Worker:
    """A process that has loaded one engine.

    Args:
        kind: A name in ``worker_kinds.KINDS``, or what ``script`` serves.
        folder: What it loads.
        options: Of the engine.
        watch_memory: Follow its memory from the start; costs a little time.
        script: What serves; it is told kind, folder and options.
        python: The interpreter that runs it.
    """

    def __init__(
        self,
        kind: str,
        folder: Path,
        options: Mapping[str, object] | None = None,
        *,
        watch_memory: bool = False,
        script: str = __file__,
        python: str = sys.executable,
    ) -> None:
        command = (python, script, kind, str(folder), json.dumps(dict(options or {})))
        # Installed packages are compiled, and so shall be what is run from a working copy.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment | {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1"},
        )
        self.peak_memory = dict.fromkeys(_WATCHED.values(), 0)
        if watch_memory:
            threading.Thread(target=self._watch, daemon=True).start()

    def write(
        self, prompts: Sequence[Sequence[int]], *, generate: int, endless: bool = True
    ) -> Answer:
        """Answer prompts at once, greedily.

        Args:
            prompts: Token ids; several have one length.
            generate: Tokens of an answer at most.
            endless: Go on behind an end of text.
        """
        return Answer(*self.exchange([prompts, generate, endless]))

    def exchange(self, message: object) -> Any:
        """Send a message and wait for its answer, both JSON.

        Raises:
            EngineFailed: The process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended, so that nothing can be read either
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise EngineFailed(f"{' '.join(self._process.args)} ended; see above")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _watch(self) -> None:
        status = Path(f"/proc/{self._process.pid}/status")
        while self._process.poll() is None:
            try:
                lines = status.read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                return
            for line in lines:
                name, _, value = line.partition(":")
                if name in _WATCHED:
                    kind, size = _WATCHED[name], int(value.split()[0]) * 1024
                    self.peak_memory[kind] = max(self.peak_memory[kind], size)
            time.sleep(0.005)


def cpu_names() -> list[str]:
    """What each core that Linux shows calls itself."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]


def machine() -> str:
    """The CPU and its cores, in words."""
    names = cpu_names()
    return f"{len(names)} cores of {names[0]}, {platform.system()}"


def serve(kind: str, folder: str, options: str) -> None:
    """Load an engine and answer what comes in, until the input ends."""
    from worker_kinds import KINDS

    answers = os.dup(1)
    os.dup2(2, 1)  # what an engine prints is no answer
    engine = KINDS[kind](folder, json.loads(options))
    with os.fdopen(answers, "w") as out:
        for line in sys.stdin:
            print(json.dumps(engine.write(*json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
