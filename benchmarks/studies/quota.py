"""Decoding under a CPU quota: with the threads that fit it, and with as many as the host has CPUs.

    python -m benchmarks.studies.quota BUNDLE [--backend openvino] [--quota 1] [--rounds 6]

Makes two control groups, which needs Linux and the right to (root, mostly), and removes them again.
A process in each loads the bundle; they decode in turns, and the ratio of neighbors is printed. On
a machine with as many CPUs as the quota there is nothing to compare.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.harness.engines import PLAIN
from benchmarks.harness.figures import in_turn
from benchmarks.harness.machine import machine
from benchmarks.harness.worker import Worker

_V1, _V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
_PERIOD = 100_000  # microseconds
PROMPT = 64


@contextmanager
def quota_group(name: str, cpus: float) -> Iterator[Path]:
    """A control group whose processes may use so many CPUs together."""
    first = (_V1 / "cpu.cfs_quota_us").exists()
    folder = (_V1 if first else _V2) / f"nanoaccel-{name}-{os.getpid()}"
    folder.mkdir()
    try:
        limit = int(cpus * _PERIOD)
        if first:
            (folder / "cpu.cfs_quota_us").write_text(str(limit))
        else:
            (folder / "cpu.max").write_text(f"{limit} {_PERIOD}")
        yield folder
    finally:
        folder.rmdir()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("bundle", type=Path)
    add("--backend", default="openvino")
    add("--quota", type=float, default=1.0, help="CPUs")
    add("--rounds", type=int, default=6)
    add("--tokens", type=int, default=64)
    arguments = parser.parse_args()
    host = len(os.sched_getaffinity(0))
    ways = {"planned": {}, f"{host} threads": {"threads": host}}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    draw = random.Random(1)
    with ExitStack() as stack:
        workers = {}
        for number, (name, options) in enumerate(ways.items()):
            group = stack.enter_context(quota_group(str(number), arguments.quota))
            own = {"backend": arguments.backend, **PLAIN, **options}
            worker = Worker("nanoaccel", arguments.bundle, own, control_group=group)
            workers[name] = stack.enter_context(worker)
        for turn in range(arguments.rounds + 1):
            prompt = [draw.randrange(1000, 5000) for _ in range(PROMPT)]
            for name in in_turn(workers, turn):
                answer = workers[name].generate([prompt], arguments.tokens)
                if turn > 0:  # the first prepares
                    seconds[name].append((answer.total - answer.first) / (answer.tokens - 1))
    planned, crowded = seconds.values()
    ratios = sorted(much / few for few, much in zip(planned, crowded, strict=True))
    print(f"{machine()}, quota {arguments.quota:g} CPUs, {arguments.backend}\n")
    for name, found in seconds.items():
        print(f"{name}: {1e3 * statistics.median(found):.1f} ms a token")
    print(
        f"planned over {host} threads: {statistics.median(ratios):.2f}x as fast "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


if __name__ == "__main__":
    main()
