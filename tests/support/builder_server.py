"""The process of onnxruntime-genai's builder, forked from one that has imported all it needs.

Imports are most of what a tiny graph costs. Each graph is still made in a process of its own, by
``builder_process.main``; started as a script, this file is the process that forks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

PREPARED = "onnxruntime_genai.models.builder"


class BuilderServer:
    """Stands in for ``builder.run_process``; starts when it is first asked.

    Args:
        folder: For what the processes write to standard error.
    """

    def __init__(self, folder: Path) -> None:
        self._errors = folder / "stderr"
        self._process: subprocess.Popen[str] | None = None

    def run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Build one graph."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(self._errors), *arguments]) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, "", self._errors.read_text())

    def close(self) -> None:
        """End the process that forks."""
        if self._process is not None:
            self._process.communicate()


def serve() -> None:
    """Fork for each line of standard input, and answer with the exit code."""
    from importlib import import_module

    from nanoaccel.exporters.targets.onnx.builder_process import supply_missing_classes

    answers = os.fdopen(os.dup(1), "w")
    supply_missing_classes()
    import_module(PREPARED)
    del sys.modules[PREPARED]  # it runs as a script; what it imported stays
    for line in sys.stdin:
        errors, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            _build(errors, arguments)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _build(errors: str, arguments: list[str]) -> None:
    """In the forked process: build, and end."""
    from nanoaccel.exporters.targets.onnx.builder_process import main

    file = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    code = 0
    try:
        main(*arguments)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve()
