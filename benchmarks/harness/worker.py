"""Engines in processes of their own, asked one at a time over a pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.loads import Load, Trace

_ROOT = Path(__file__).parents[2]
_WATCHED = {"RssAnon": "anonymous", "VmHWM": "resident"}


class EngineFailed(SystemExit):
    """An engine gave no answer; ends a benchmark that does not expect it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What prompts took that were asked at once.

    Args:
        first: Seconds until each had its first token.
        total: Seconds until all had ended.
        tokens: Number of tokens that were generated for all of them.
    """

    first: float
    total: float
    tokens: int


class Worker:
    """A process that has opened one engine.

    Args:
        adapter: A key of ``ADAPTERS``.
        folder: What the engine opens.
        options: Of the engine.
        python: The interpreter that runs it.
        environment: Variables besides those of this process.
        control_group: Folder of the control group that the process joins at once.
        watch_memory: Follow its memory from the start; costs a little time.
    """

    def __init__(
        self,
        adapter: str,
        folder: Path,
        options: Mapping[str, object] | None = None,
        *,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
        control_group: Path | None = None,
        watch_memory: bool = False,
    ) -> None:
        serve = (python, "-m", "benchmarks.harness.serve")
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            (*serve, adapter, str(folder), json.dumps(dict(options or {}))),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_environment() | dict(environment or {}),
            preexec_fn=None if control_group is None else partial(_join, control_group),
        )
        self.peak_memory = dict.fromkeys(_WATCHED.values(), 0)
        if watch_memory:
            threading.Thread(target=self._watch, daemon=True).start()

    def generate(
        self, prompts: Sequence[Sequence[int]], max_tokens: int, *, ignore_eos: bool = True
    ) -> Answer:
        """Answer prompts at once, greedily.

        Args:
            prompts: Token ids; several have one length.
            max_tokens: Tokens of an answer at most.
            ignore_eos: Go on behind an end of text.

        Raises:
            EngineFailed: The process has ended.
        """
        return Answer(*self.call("generate", prompts, max_tokens, ignore_eos))

    def play(self, load: Load) -> list[Trace]:
        """Run a load to its end; one trace for each request, in the same order.

        Raises:
            EngineFailed: The process has ended.
        """
        return [Trace(due, tokens) for due, tokens in self.call("play", load.to_json())]

    def call(self, method: str, *arguments: object) -> Any:
        """What a method of the adapter gives.

        Raises:
            EngineFailed: The process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended, so that nothing can be read either
            self._process.stdin.write(json.dumps([method, *arguments]) + "\n")
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

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
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


def _environment() -> dict[str, str]:
    """Variables of a worker: it finds this package, and compiles what it imports."""
    # Installed packages are compiled, and so shall be what is run from a working copy.
    own = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    paths = [str(_ROOT), *filter(None, [own.get("PYTHONPATH")])]
    own["PYTHONPATH"] = os.pathsep.join(paths)
    return own | {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1"}


def _join(group: Path) -> None:
    """Move this process into a control group."""
    (group / "cgroup.procs").write_text(str(os.getpid()))
