"""Whether a profile adds up, and what profiling costs when it is off.

    python -m benchmarks.studies.profile_sums BUNDLE --backend openvino

Phases are compared with the wall time of the request; operators with the forward passes that they
ran in, and with those of a graph that notes nothing, in turn. Then one LLM is left alone, another
had a profiler that was detached again, and a third has one: each decodes the same text in turn.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.harness.figures import Quartiles, in_turn, table_head, table_row
from benchmarks.harness.machine import machine
from nanoaccel import LLM, Bundle, SamplingParams
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.tools.profiling import ProfileOptions, Profiler, profile_bundle
from nanoaccel.runtime.types.packing import even_plan

PROMPT = [1000 + token for token in range(64)]


def seconds_per_token(llm: LLM, tokens: int) -> float:
    """Of a decode, its first token aside."""
    params = SamplingParams(max_tokens=tokens, ignore_eos=True)
    stats = llm.generate([PROMPT], params)[0].completions[0].stats
    assert stats.first_token is not None
    return (stats.total - stats.first_token) / (tokens - 1)


def show_sums(folder: Path, backend: str) -> None:
    """Phases against the wall, operators against forward passes."""
    profile = profile_bundle(
        folder,
        backend=backend,
        options=ProfileOptions(),
        arguments={"prefix_cache": False, "speculation": "off"},
        listener=lambda _: None,
    )
    run = profile.run
    share = 1 - run.unexplained / run.wall
    print(table_row([f"phases of {run.wall:.3f} s wall", f"{share:.2%}"]))
    for name, found in (("prompt", profile.prefill), ("single token", profile.decode)):
        if found is not None:
            each = 1e3 * found.forward / found.passes
            share = found.seconds / found.forward
            what = f"operators, {name} of {each:.2f} ms that notes them"
            print(table_row([what, f"{share:.2%}"]))


def show_operators(folder: Path, backend: str, passes: int) -> None:
    """Operators against single tokens' passes of a graph that notes nothing, in turn."""
    bundle = Bundle.open(folder)
    name = bundle.runtimes[0] if backend == "auto" else backend
    pages = HugePages()
    plain, noting = (
        BACKENDS.resolve(name)(
            BackendOptions(
                graph=bundle.graph_for(name),
                weight_group_size=bundle.weight_group_size,
                profile=noted,
            )
        )
        for noted in (False, True)
    )
    size = plain.info.block_size
    blocks = [list(range(-(-(256 + passes) // size)))]
    for one in (plain, noting):
        one.allocate_cache(len(blocks[0]))
        for _ in range(3):
            one.forward(even_plan(blocks, 255, 1))
    pages.gather()
    noting.begin_section()
    seconds = {id(plain): 0.0, id(noting): 0.0}
    for number in range(passes):
        for one in in_turn((plain, noting), number):
            begun = time.perf_counter()
            one.forward(even_plan(blocks, 256 + number, 1))
            seconds[id(one)] += time.perf_counter() - begun
    (times,) = noting.operator_times()
    total = sum(operator.seconds for operator in times)
    base = seconds[id(plain)]
    what = f"operators, single token of {1e3 * base / passes:.2f} ms, plain"
    print(table_row([what, f"{total / base:.2%}"]))
    print(table_row(["a pass that notes them / plain", f"{seconds[id(noting)] / base:.3f}"]))
    plain.close()
    noting.close()


def show_cost(folder: Path, backend: str, rounds: int, tokens: int) -> None:
    """What a profiler that was there costs, and one that is there."""
    options = {"backend": backend, "prefix_cache": False, "speculation": "off"}
    with ExitStack() as stack:
        plain, detached, attached = (
            stack.enter_context(LLM(folder, replicas=1, **options)) for _ in range(3)
        )
        with Profiler(detached.client.thread.engine):
            seconds_per_token(detached, 4)
        stack.enter_context(Profiler(attached.client.thread.engine))
        kinds = {"plain": plain, "detached": detached, "attached": attached}
        found: dict[str, list[float]] = {name: [] for name in kinds}
        for number in range(rounds + 1):
            for name in in_turn(kinds, number):
                taken = seconds_per_token(kinds[name], tokens)
                if number > 0:  # the first is a warm-up
                    found[name].append(taken)
    for name in ("detached", "attached"):
        ratios = [one / base for one, base in zip(found[name], found["plain"], strict=True)]
        cell = f"{Quartiles.of(ratios).show(4)}, {rounds} rounds"
        print(table_row([f"decode, profiler {name} / plain", cell]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--tokens", type=int, default=48)
    arguments = parser.parse_args()
    begun = time.perf_counter()
    print(f"{machine()}; backend {arguments.backend}\n")
    print(table_head(["what", "share or ratio"]))
    show_sums(arguments.bundle, arguments.backend)
    show_operators(arguments.bundle, arguments.backend, 4 * arguments.tokens)
    show_cost(arguments.bundle, arguments.backend, arguments.rounds, arguments.tokens)
    print(f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
