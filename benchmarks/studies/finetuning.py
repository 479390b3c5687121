"""Training speed and memory: NanoAccel's loop against the usual one around peft, in turns.

    python -m benchmarks.studies.finetuning [--model sample] [--steps 5] [--rounds 2]
        [--batch 16] [--method lora]

Each run is a process of its own. Both train the same adapter on the same made-up examples, the
same number of them a step, in bf16 where the CPU has it. The usual loop is what peft's own examples
do: padded batches, the model's own loss, AdamW on the adapter. Speed is of the median step, tokens
without padding; memory is the most anonymous memory of the process while it trains.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness.json_task import write_examples
from benchmarks.harness.machine import machine

_KINDS = ("nanoaccel", "peft")


class Peak:
    """The most anonymous memory of this process, bytes."""

    def __init__(self) -> None:
        self.bytes = 0

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Look 100 times a second."""
        done = threading.Event()

        def look() -> None:
            while not done.wait(0.01):
                found = psutil.Process().memory_info()
                self.bytes = max(self.bytes, found.rss - found.shared)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def load(model: str, data: Path) -> tuple[Any, list[Any]]:
    """The model, and its examples."""
    from nanoaccel.exporters.source.model_source import resolve
    from nanoaccel.finetune.data.prepare import DataOptions, prepare
    from nanoaccel.finetune.data.tokenizers import open_tokenizer
    from nanoaccel.finetune.model_folder import load_float
    from nanoaccel.finetune.train.weights import multiplies_bf16

    options = DataOptions(max_length=1024, validation_share=0.0)
    examples = prepare(str(data), open_tokenizer(model), options).train
    return load_float(resolve(model), "bf16" if multiplies_bf16() else "f32"), examples


def run_nanoaccel(model: Any, steps: Sequence[Sequence[Any]], method: str, width: int) -> Any:
    """A function that does one step."""
    import torch

    from nanoaccel.finetune.adapters.attach import attach
    from nanoaccel.finetune.train.batches import pack
    from nanoaccel.finetune.train.options import TrainingOptions
    from nanoaccel.finetune.train.passes import Passes
    from nanoaccel.finetune.train.weights import TrainedWeights

    attach(model, TrainingOptions(method=method))  # type: ignore[arg-type]
    passes, weights = Passes(model), TrainedWeights(model)
    optimizer = torch.optim.AdamW(weights.masters.values(), lr=5e-4)
    model.train()

    def step(number: int) -> float:
        texts = steps[number]
        learned = sum(int(one.taught[1:].sum()) for one in texts)
        lengths = [len(one) for one in texts]
        total = 0.0
        for chosen in pack(range(len(texts)), lengths, width):
            total += passes.backward([texts[i] for i in chosen], 1 / learned)[0]
            weights.collect()
        optimizer.step()
        weights.clear()
        weights.publish()
        return total / learned

    return step


def run_peft(model: Any, steps: Sequence[Sequence[Any]], method: str, _: int) -> Any:
    """A function that does one step."""
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=16,
        lora_alpha=32,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        use_dora=method == "dora",
        use_rslora=method == "rslora",
    )
    torch.manual_seed(0)
    wrapped = get_peft_model(model, config)
    learning = [weight for weight in wrapped.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=5e-4)
    wrapped.train()

    def step(number: int) -> float:
        texts = steps[number]
        width = max(len(one) for one in texts)
        ids = torch.zeros((len(texts), width), dtype=torch.int64)
        labels = torch.full_like(ids, -100)
        mask = torch.zeros_like(ids)
        for line, one in enumerate(texts):
            found = torch.from_numpy(one.ids.astype("int64"))
            ids[line, : len(one)] = found
            mask[line, : len(one)] = 1
            labels[line, : len(one)] = torch.where(torch.from_numpy(one.taught), found, -100)
        loss = wrapped(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss)

    return step


def run_one(given: argparse.Namespace, data: Path) -> dict[str, Any]:
    """Train in this process, and say what it took."""
    model, examples = load(given.model, data)
    steps = [
        examples[i * given.batch : (i + 1) * given.batch] for i in range(given.steps + 1)
    ]  # the first one warms up
    runs: dict[str, Callable[..., Any]] = {"nanoaccel": run_nanoaccel, "peft": run_peft}
    step = runs[given.one](model, steps, given.method, given.pass_tokens)
    peak, seconds, losses = Peak(), [], []
    with peak.watch():
        for number in range(len(steps)):
            began = time.perf_counter()
            losses.append(step(number))
            seconds.append(time.perf_counter() - began)
    tokens = [sum(map(len, texts)) for texts in steps]
    speeds = [count / second for count, second in zip(tokens, seconds, strict=True)][1:]
    return {
        "tokens_per_second": statistics.median(speeds),
        "peak": peak.bytes,
        "losses": losses,
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="sample")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--method", default="lora")
    parser.add_argument("--pass-tokens", type=int, default=1024)
    parser.add_argument("--one", choices=_KINDS, help="in this process, result as JSON")
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(run_one(given, given.data)))
        return
    print(machine())
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _KINDS}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.jsonl"
        write_examples(data, given.batch * (given.steps + 1), seed=0)
        for _ in range(given.rounds):
            for kind in _KINDS:
                command = [sys.executable, "-m", "benchmarks.studies.finetuning", *sys.argv[1:]]
                out = subprocess.run(
                    [*command, "--one", kind, "--data", str(data)],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
                found[kind].append(json.loads(out.splitlines()[-1]))
    for kind, runs in found.items():
        speeds = ", ".join(f"{run['tokens_per_second']:.0f}" for run in runs)
        peaks = ", ".join(f"{run['peak'] / 1e9:.2f}" for run in runs)
        print(f"{kind:10} {speeds} tokens/s, {peaks} GB, last loss {runs[-1]['losses'][-1]:.4f}")
    ours, theirs = (found[kind] for kind in _KINDS)
    speed = max(run["tokens_per_second"] for run in ours) / max(
        run["tokens_per_second"] for run in theirs
    )
    memory = max(run["peak"] for run in ours) / min(run["peak"] for run in theirs)
    print(f"nanoaccel / peft: {speed:.2f}x tokens/s, {memory:.2f}x peak memory")


if __name__ == "__main__":
    main()
