"""Many adapters in a running engine: what they hold, and what it takes to change them under load.

    python -m benchmarks.studies.adapter_use BUNDLE [--runtime onnx] [--known 100] [--used 16]

The adapters are random, of rank 16, for all projections of decoder layers. First, memory: with all
of them known by name, and when some of them have answered. Then four texts of the base are written
while short requests come one after another: of the base, or each with an adapter that is not loaded
and takes the place of another one. What an adapter adds to the time to the first token is what a
change takes; the gaps between tokens of the four texts tell whether it disturbs them.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import count, cycle
from pathlib import Path

from benchmarks.harness.figures import table
from benchmarks.harness.machine import machine
from benchmarks.studies.adapters import opened, random_adapter, resident
from nanoaccel import LLM, RequestOptions, SamplingParams
from nanoaccel.bundle import Bundle
from nanoaccel.runtime.backends.base import AdapterHolder

_RANK, _TEXTS, _TOKENS, _SHORT = 16, 4, 400, 2


def write_adapters(bundle: Bundle, runtime: str, number: int, folder: Path) -> dict[str, Path]:
    """Folders as PEFT writes them, by name."""
    from safetensors.numpy import save_file

    backend = opened(bundle, runtime, adapters=True)
    assert isinstance(backend, AdapterHolder), "the backend holds adapters"
    modules = dict(backend.adaptable)
    backend.close()
    found = {}
    for seed in range(number):
        own = folder / f"adapter-{seed}"
        own.mkdir()
        tensors = {}
        for name, update in random_adapter(modules, _RANK, seed).items():
            tensors[f"base_model.model.{name}.lora_A.weight"] = update.down
            tensors[f"base_model.model.{name}.lora_B.weight"] = update.up
        save_file(tensors, own / "adapter_model.safetensors")
        config = {
            "peft_type": "LORA",
            "r": _RANK,
            "lora_alpha": _RANK,
            "target_modules": sorted({name.rpartition(".")[2] for name in modules}),
        }
        (own / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
        found[own.name] = own
    return found


def memory(llm: LLM, names: Sequence[str], used: int) -> list[list[str]]:
    """Rows: what the process holds, before and after some adapters have answered."""
    params = SamplingParams(max_tokens=_SHORT, temperature=0)
    llm.generate("Hello", params)
    before = resident()
    for name in names[:used]:
        llm.generate("Hello", params, RequestOptions(adapter=name))
    after = resident()
    return [
        [f"{len(names)} known", f"{before:.0f}"],
        [f"{used} have answered", f"{after:.0f}, {(after - before) / used:.1f} each"],
    ]


def ask_shortly(
    llm: LLM, adapters: Iterator[str | None], ended: threading.Event, waits: list[float]
) -> None:
    """Short requests, one after another; seconds to the first token of each."""
    for number in count():
        if ended.is_set():
            return
        options = RequestOptions(adapter=next(adapters))
        prompt = f"Say {number}"
        begun = time.perf_counter()
        params = SamplingParams(max_tokens=_SHORT, temperature=0, ignore_eos=True)
        for chunk in llm.stream(prompt, params, options):
            if chunk.token_ids:
                waits.append(time.perf_counter() - begun)
                break
        ended.wait(0.05)


def under_load(
    llm: LLM, adapters: Iterator[str | None], seed: int
) -> tuple[list[float], list[float]]:
    """Gaps between tokens of texts of the base, and waits of the short requests, in seconds."""
    draw, gaps, waits = random.Random(seed), list[float](), list[float]()
    params = SamplingParams(max_tokens=_TOKENS, temperature=0, ignore_eos=True)

    def write(prompt: list[int]) -> None:
        last = None
        for chunk in llm.stream(prompt, params):
            now = time.perf_counter()
            if last is not None and chunk.token_ids:
                gaps.append((now - last) / len(chunk.token_ids))
            last = now

    texts = [[draw.randrange(1000, 20000) for _ in range(32)] for _ in range(_TEXTS)]
    writers = [threading.Thread(target=write, args=(text,)) for text in texts]
    ended = threading.Event()
    other = threading.Thread(target=ask_shortly, args=(llm, adapters, ended, waits))
    for thread in (*writers, other):
        thread.start()
    for thread in writers:
        thread.join()
    ended.set()
    other.join()
    return gaps, waits


def shown(seconds: Sequence[float]) -> list[str]:
    """Median, 99th percentile and most, in ms."""
    ordered = sorted(seconds)
    late = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return [f"{value * 1e3:.1f}" for value in (statistics.median(ordered), late, ordered[-1])]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--runtime", default="onnx")
    parser.add_argument("--known", type=int, default=100)
    parser.add_argument("--used", type=int, default=16)
    given = parser.parse_args()
    bundle = Bundle.open(given.bundle)
    with tempfile.TemporaryDirectory() as folder:
        known = write_adapters(bundle, given.runtime, given.known, Path(folder))
        names = list(known)
        with LLM(
            given.bundle,
            backend=given.runtime,
            speculation="off",
            prefix_cache=False,
            adapters={},
            max_loaded_adapters=given.used,
        ) as llm:
            empty = resident()
            for name, own in known.items():
                llm.adapters.add(name, own)
            rows = [["opened", f"{empty:.0f}"], *memory(llm, names, given.used)]
            turns: dict[str, Iterator[str | None]] = {
                "of the base": cycle([None]),
                "each with another adapter": cycle(names),
            }
            found = []
            for what, adapters in turns.items():
                gaps, waits = under_load(llm, adapters, 1)
                found.append([what, str(len(waits)), *shown(waits), *shown(gaps)])
    print(f"{machine()}; adapters of rank {_RANK}\n")
    print(table(["adapters", "MB"], rows) + "\n")
    titles = ["short requests", "of them", "first token, ms", "99 %", "most"]
    print(table([*titles, "gap of a token, ms", "99 %", "most"], found))


if __name__ == "__main__":
    main()
