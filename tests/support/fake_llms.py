"""Bundles of letters that open on the fake backend, which a test can watch and hold."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from support.disk_tiers import wait_until

from nanoaccel import registry
from nanoaccel.runtime.async_llm import AsyncLLM
from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.backends.fake import FakeBackend, Rule, hashed
from nanoaccel.runtime.engine import assembly
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.types.plan import StepPlan, StepResult
from nanoaccel.testing.engines import VOCAB_SIZE, write_letters

CONTEXT = 64
BLOCK_BYTES = 32


def write_bundle(folder: Path, graph: str = "<net/>") -> Path:
    """A plain folder with a letter tokenizer, a chat template and a context of 64 tokens."""
    write_letters(folder, CONTEXT)
    (folder / "openvino_model.xml").write_text(graph)
    return folder


class WatchedBackend(FakeBackend):
    """Counts what is done with it; ``hold`` keeps it in its next pass until ``go_on``.

    Attributes:
        seconds: What a pass lasts at least.
    """

    def __init__(self, options: BackendOptions) -> None:
        super().__init__(hashed(VOCAB_SIZE), VOCAB_SIZE, attention_scores=options.attention_scores)
        self.seconds = 0.0
        self.held = 0
        self.closings = 0
        self.threads: set[str] = set()
        self.passes = 0
        self._open = threading.Event()
        self._open.set()

    def hold(self) -> None:
        wait_until(lambda: self.passes > 0, "the pass that warms up")
        self._open.clear()

    def go_on(self) -> None:
        self._open.set()

    def wait_until_held(self) -> None:
        wait_until(lambda: self.held == 1, "a pass that is held")

    def forward(self, plan: StepPlan) -> StepResult:
        self.threads.add(threading.current_thread().name)
        time.sleep(self.seconds)
        self.held += 1
        assert self._open.wait(20), "nobody let the pass go on"
        self.held -= 1
        self.passes += 1
        return super().forward(plan)

    def close(self) -> None:
        self.closings += 1
        super().close()


def skip_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run no passes before those that a test asks for."""
    monkeypatch.setattr(assembly, "measure_verification", lambda *_, **__: None)


def watch_backends(
    monkeypatch: pytest.MonkeyPatch, rule: Rule | None = None
) -> list[WatchedBackend]:
    """The backends that bundles are opened with from now on, in order.

    Args:
        monkeypatch: Undoes it.
        rule: What they compute, if it is not their own.
    """
    opened: list[WatchedBackend] = []

    def load(options: BackendOptions) -> WatchedBackend:
        opened.append(WatchedBackend(options))
        if rule is not None:
            opened[-1].rule = rule
        return opened[-1]

    def resolve(name: str) -> object:
        assert name == "openvino"
        return load

    monkeypatch.setattr(registry.BACKENDS, "resolve", resolve)
    return opened


def wait_until_idle(llm: LLM | AsyncLLM) -> None:
    """Wait until nothing runs; then no block is owned or lost."""

    def idle() -> bool:
        counters = llm.counters()
        return counters.running + counters.waiting == 0

    wait_until(idle, "requests that end")
    assert llm.counters().owned_blocks == 0
    (llm._llm if isinstance(llm, AsyncLLM) else llm).client.thread.engine.check_integrity()
