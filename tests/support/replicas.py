"""Engines in other processes: fake ones that a test plays, and real ones that run letters."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.disk_tiers import wait_until

from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.backends.fake import FakeBackend, hashed
from nanoaccel.runtime.cpu.threads import plan_threads
from nanoaccel.runtime.cpu.topology import Allowance, Core, Node, Topology
from nanoaccel.runtime.cpu.workload import ThreadPlan, Workload
from nanoaccel.runtime.engine.metrics import Counters, Durations
from nanoaccel.runtime.replicas.messages import Cancel, Close, Happened, Ready, Submit
from nanoaccel.runtime.speculation import SpeculationCounters
from nanoaccel.runtime.types.outputs import Chunk, FinishReason, RequestStats, Usage
from nanoaccel.runtime.types.plan import StepPlan, StepResult
from nanoaccel.testing.engines import VOCAB_SIZE

LETTERS_BACKEND = "slow_letters"
SECONDS = "NANOACCEL_TEST_PASS_SECONDS"


class SlowBackend(FakeBackend):
    """Sleeps in each pass for as long as the environment says."""

    def __init__(self) -> None:
        super().__init__(hashed(VOCAB_SIZE), VOCAB_SIZE)
        self._seconds = float(os.environ.get(SECONDS, "0"))

    def forward(self, plan: StepPlan) -> StepResult:
        time.sleep(self._seconds)
        return super().forward(plan)


def load(_: BackendOptions) -> SlowBackend:
    """What the entry point names."""
    return SlowBackend()


def write_plugin(
    folder: Path, name: str = LETTERS_BACKEND, target: str = f"{__name__}:load"
) -> Path:
    """A folder for ``sys.path`` that offers a backend by name, to child processes too."""
    info = folder / "letters_plugin-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: letters-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[nanoaccel.backends.v1]\n{name} = {target}\n")
    return folder


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pids: Sequence[int]) -> None:
    wait_until(lambda: not any(map(is_alive, pids)), "processes that end")


def plan_of_one_core() -> ThreadPlan:
    topology = Topology("linux", "", "", None, "x86_64", (Core(0, (0,)),), (), (Node(0, (0,)),), ())
    return plan_threads(topology, Allowance((0,)), Workload())


def counters_of(**changes: Any) -> Counters:
    """Zero but for what is said."""
    names = (
        "waiting running waiting_tokens cache_blocks owned_blocks cached_blocks "
        "cache_states owned_states cached_states cache_bytes "
        "submitted refused preemptions steps computed_tokens generated_tokens queried_tokens "
        "hit_tokens restored_tokens evictions saved_blocks callback_errors"
    )
    none = Durations(0, 0.0, 0.0, 0.0, 0.0)
    values: dict[str, Any] = {
        **dict.fromkeys(names.split(), 0),
        "finished": {},
        "first_token": none,
        "per_token": none,
        "speculation": SpeculationCounters(),
    }
    return Counters(**{**values, **changes})


class FakeReplica:
    """An engine that a test plays.

    Attributes:
        sent: What it was told.
        made: All that were made, in order.
        broken: Whether new ones end at once.
        is_late: Whether they hang when they shall end.
        greeting: What new ones say.
    """

    made: list[FakeReplica]
    broken: bool
    is_late = False
    greeting: object = Ready(FakeBackend(hashed(VOCAB_SIZE), VOCAB_SIZE).info, 400, {})

    def __init__(self, name: str, plan: ThreadPlan, start: Any, deliver: Any) -> None:
        self.name, self.plan, self.start, self._deliver = name, plan, start, deliver
        self.sent: list[object] = []
        self.last_counters: Counters | None = None
        self.threads: list[object] = []
        self.pid = len(self.made)
        self.killed = False
        self.made.append(self)
        if self.broken:
            self.die()
        else:
            self.say(self.greeting)

    def say(self, *messages: object) -> None:
        self._deliver(self, list(messages))

    def die(self) -> None:
        self._deliver(self, None)

    def start_on(self, *numbers: int) -> None:
        self.say(*(Happened(number, "started", None) for number in numbers))

    def write(self, number: int, text: str, reason: FinishReason | None = None) -> None:
        ending = {}
        if reason is not None:
            stats = RequestStats(0.0, 0.0, 0.0, 0)
            ending = {"finish_reason": reason, "usage": Usage(1, len(text)), "stats": stats}
        chunk = Chunk(text, tuple(range(len(text))), **ending)  # type: ignore[arg-type]
        self.say(Happened(number, "token" if reason is None else "finished", chunk))

    @property
    def asked(self) -> list[int]:
        """Numbers of the completions that it was given."""
        return [message.number for message in self.sent if isinstance(message, Submit)]

    @property
    def cancelled(self) -> list[int]:
        return [message.number for message in self.sent if isinstance(message, Cancel)]

    def send(self, message: object) -> None:
        self.sent.append(message)

    def counters(self) -> Counters | None:
        return self.last_counters

    def close(self) -> None:
        self.sent.append(Close())
        self.die()

    def kill(self) -> None:
        self.killed = True
        self.die()

    def ending(self) -> str:
        return "by signal SIGKILL"


if __name__ == "__main__":  # a user's script without a guard, in a process of its own
    from nanoaccel import LLM, SamplingParams

    llm = LLM(sys.argv[1], backend=LETTERS_BACKEND, replicas=2, speculation="off")
    stream = llm.stream("abc", SamplingParams(max_tokens=60, ignore_eos=True))
    next(stream)
    pids = llm.client.pool.pids  # type: ignore[attr-defined]
    sys.stdout.write(f"{' '.join(map(str, pids))}\n")
    sys.stdout.flush()
    if sys.argv[2] == "wait":
        time.sleep(60)
