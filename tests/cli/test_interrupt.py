"""Ctrl-C while the graph computes: real processes, real signals, a graph that takes its time."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.testing.engines import letter_tokenizer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

# Each pass says so, then lasts as many seconds as the first argument; it says so a little late,
# when whoever reads the text surely waits for it.
SLOW = """
import sys, time
from nanoaccel import registry
from nanoaccel.cli.main import run
from nanoaccel.runtime.backends.fake import FakeBackend, scripted

class Slow(FakeBackend):
    def forward(self, plan):
        time.sleep(0.2)
        print("pass", file=sys.stderr, flush=True)
        time.sleep(seconds)
        return super().forward(plan)

_, seconds, *sys.argv[1:] = sys.argv
seconds = float(seconds)
backend = Slow(scripted(32, lambda tokens: 0), 32)
registry.BACKENDS.resolve = lambda name: lambda options: backend
run()
"""
FOREVER = 3600
PASSES = 64  # of a prompt of 8,192 tokens, in steps of 128

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, processes: Any) -> Iterator[Start]:
    """Start a command on a model whose passes last so many seconds."""
    letter_tokenizer(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ messages[-1]['content'] }}")
    (tmp_path / "openvino_model.xml").write_text("<net/>")
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 16384}')
    slow = [sys.executable, "-c", SLOW]
    with ExitStack() as stack:

        def run(seconds: float, command: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    # Measuring what passes cost would take some of them before the first.
                    [*slow, str(seconds), command, str(tmp_path), "--speculation", "off"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=processes.environment,
                )
            )
            stack.callback(process.kill)
            patience = threading.Timer(60, process.kill)
            stack.callback(patience.cancel)
            patience.start()
            return process

        yield run


def test_interrupt_ends_a_long_prompt(start: Start) -> None:
    process = start(0, "generate")
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write("a" * 8192)
    process.stdin.close()
    assert process.stderr.readline() == "pass\n"
    process.send_signal(signal.SIGINT)
    assert process.stderr.read().count("pass") < PASSES // 2
    assert process.wait(60) == 130


def test_interrupt_ends_the_answer_during_a_pass(start: Start) -> None:
    process = start(FOREVER, "chat")
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write("a question\n")
    process.stdin.flush()
    assert process.stderr.readline() == "pass\n"
    process.send_signal(signal.SIGINT)
    process.stdin.write("/stats\n")
    process.stdin.flush()
    assert process.stderr.readline() == "last answer 0 tokens; context 10 of 16384 tokens\n"


def test_interrupt_again_ends_the_process_during_a_pass(start: Start) -> None:
    process = start(FOREVER, "generate")
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write("a")
    process.stdin.close()
    assert process.stderr.readline() == "pass\n"
    for _ in range(60):
        process.send_signal(signal.SIGINT)
        try:
            process.wait(1)
            break
        except subprocess.TimeoutExpired:
            continue
    assert process.returncode == 130
    assert process.stderr.read() == ""
