"""Engines in processes of their own, asked one at a time over a pipe."""

from __future__ import annotations

import json
import platform
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

_Self = TypeVar("_Self", bound="Worker")


class Worker:
    """A process that has loaded one engine.

    Args:
        kind: "nanoaccel" or "genai".
        folder: What it loads.
        watch_memory: Follow its anonymous memory from the start; costs a little time.
        command: The script that serves, and what it is told after kind and folder.
    """

    def __init__(
        self,
        kind: str,
        folder: Path,
        *,
        watch_memory: bool = False,
        command: tuple[str, ...] = (__file__,),
    ) -> None:
        script, *options = command
        command = (sys.executable, script, kind, str(folder), *options)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.peak_memory = 0
        if watch_memory:
            threading.Thread(target=self._watch, daemon=True).start()

    def ask(self, *, prompt: int, generate: int) -> dict[str, float]:
        """Run one request; gives tokens a second of prefill and decode."""
        answer: dict[str, float] = self.exchange([prompt, generate])
        return answer

    def exchange(self, message: object) -> Any:
        """Send a message and wait for its answer, both JSON."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(self._process.args)} ended; see above")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

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
            except ProcessLookupError:  # it ended meanwhile
                return
            for line in lines:
                if line.startswith("RssAnon"):
                    self.peak_memory = max(self.peak_memory, int(line.split()[1]) * 1024)
            time.sleep(0.005)


def machine() -> str:
    """The CPU and its cores, in words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores of {names[0]}, {platform.system()}"


def _tokens(count: int) -> list[int]:
    return random.Random(count).choices(range(1000, 20000), k=count)


def _serve_nanoaccel(folder: str) -> None:
    from nanoaccel import LLM, SamplingParams

    llm = LLM(folder, prefix_cache=False, speculation="off")
    for line in sys.stdin:
        prompt, generate = json.loads(line)
        params = SamplingParams(max_tokens=generate, ignore_eos=True)
        output = llm.generate(_tokens(prompt), params)
        first, total = output.stats.first_token, output.stats.total
        assert first is not None
        _answer(prompt / first, (generate - 1) / (total - first))


def _serve_genai(folder: str) -> None:
    import numpy as np
    import openvino as ov
    import openvino_genai

    pipeline = openvino_genai.LLMPipeline(folder, "CPU")
    config = openvino_genai.GenerationConfig()
    config.ignore_eos = True
    config.do_sample = False
    config.apply_chat_template = False
    for line in sys.stdin:
        prompt, generate = json.loads(line)
        config.max_new_tokens = generate
        ids = np.array([_tokens(prompt)], np.int64)
        inputs = openvino_genai.TokenizedInputs(ov.Tensor(ids), ov.Tensor(np.ones_like(ids)))
        metrics = pipeline.generate(inputs, config).perf_metrics
        _answer(1e3 * prompt / metrics.get_ttft().mean, 1e3 / metrics.get_tpot().mean)


def _answer(prefill: float, decode: float) -> None:
    print(json.dumps({"prefill": prefill, "decode": decode}), flush=True)


if __name__ == "__main__":
    {"nanoaccel": _serve_nanoaccel, "genai": _serve_genai}[sys.argv[1]](sys.argv[2])
