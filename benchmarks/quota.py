"""Decoding under a CPU quota: with the threads that fit it, and with as many as the host has CPUs.

    python benchmarks/quota.py BUNDLE [--backend openvino] [--quota 1] [--rounds 6] [--tokens 64]

Makes two control groups, which needs Linux and the right to (root, mostly), and removes them again.
A process in each loads the bundle; they decode in turns, and the ratio of neighbors is printed. On
a machine with as many CPUs as the quota there is nothing to compare.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from workers import Worker, machine, serve

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


def serve_inside(kind: str, folder: str, options: str) -> None:
    """Join a group before anything is loaded, then serve as any worker."""
    chosen = json.loads(options)
    (Path(chosen.pop("group")) / "cgroup.procs").write_text(str(os.getpid()))
    serve(kind, folder, json.dumps(chosen))


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
        for place, (name, options) in enumerate(ways.items()):
            group = stack.enter_context(quota_group(str(place), arguments.quota))
            own = {"backend": arguments.backend, "speculation": "off", "group": str(group)}
            worker = Worker("nanoaccel", arguments.bundle, {**own, **options}, script=__file__)
            workers[name] = stack.enter_context(worker)
        for turn in range(arguments.rounds + 1):
            prompt = [draw.randrange(1000, 5000) for _ in range(PROMPT)]
            for name in list(workers)[:: 1 if turn % 2 else -1]:
                answer = workers[name].write([prompt], generate=arguments.tokens)
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
    if len(sys.argv) == 4 and sys.argv[3].startswith("{"):
        serve_inside(*sys.argv[1:])
    else:
        main()
