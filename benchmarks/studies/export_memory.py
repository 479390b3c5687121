"""The most anonymous memory that an export takes, by the size of the model.

    python -m benchmarks.studies.export_memory [--billions 1 2 3] [--calibrated] [--folder DIR]
    python -m benchmarks.studies.export_memory --kinds qwen3_moe granitemoehybrid

Random Llamas in bf16 are written to disk (2 GB for each billion of weights), exported by
``nanoaccel export`` in a process of its own and deleted. Pages that are mapped from files do not
count: the system takes them back when it needs them. The last lines are the line through the
points, and what it says of a model of 8 billion weights. With --kinds, random models of a billion
weights of other kinds take their place. Linux only.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.harness.figures import table
from benchmarks.harness.machine import machine
from benchmarks.harness.random_kinds import KINDS, write_random_kind

_SHAPES = {  # hidden size, layers, width of the MLP, heads, heads of keys
    1: (2048, 16, 8192, 32, 8),
    2: (2560, 22, 8192, 20, 5),
    3: (3072, 27, 8192, 24, 8),
}
_VOCABULARY = 49152
_INTERVAL = 0.02  # seconds between two looks
_ANONYMOUS = re.compile(r"RssAnon:\s+(\d+) kB")
_FREE = ("--weights", "int4")
_CALIBRATED = ("--weights", "int4", "--method", "scale-estimation")


@dataclass(frozen=True, slots=True)
class Peak:
    """One export.

    Args:
        kind: Of the model.
        billions: Weights of the model.
        peak: The most anonymous memory of its processes, bytes.
        expected: What the export said before it began, bytes.
        seconds: Its time.
    """

    kind: str
    billions: float
    peak: int
    expected: int
    seconds: float


def write_llama(folder: Path, billions: int) -> float:
    """Write a random Llama, a file for each layer; its weights in billions."""
    import torch
    from safetensors.torch import save_file

    from nanoaccel.exporters.source.model_source import resolve
    from nanoaccel.exporters.source.tokenizer_files import write_tokenizer

    hidden, layers, inner, heads, keys = _SHAPES[billions]
    width = hidden // heads
    folder.mkdir(parents=True)
    write_tokenizer(resolve("sample"), folder)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": inner,
        "num_attention_heads": heads,
        "num_key_value_heads": keys,
        "vocab_size": _VOCABULARY,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": False,
        "eos_token_id": 2,
        "dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    draw, where, total = torch.Generator().manual_seed(0), {}, 0

    def put(file: str, shapes: dict[str, tuple[int, ...]]) -> None:
        nonlocal total
        tensors = {
            name: (torch.randn(shape, generator=draw) * shape[-1] ** -0.5).bfloat16()
            if len(shape) > 1
            else torch.ones(shape, dtype=torch.bfloat16)
            for name, shape in shapes.items()
        }
        save_file(tensors, folder / file, metadata={"format": "pt"})
        where.update(dict.fromkeys(tensors, file))
        total += sum(tensor.numel() for tensor in tensors.values())

    table_shape = (_VOCABULARY, hidden)
    ends = {"model.embed_tokens": table_shape, "lm_head": table_shape, "model.norm": (hidden,)}
    put("ends.safetensors", {f"{name}.weight": shape for name, shape in ends.items()})
    block = {
        "self_attn.q_proj": (heads * width, hidden),
        "self_attn.k_proj": (keys * width, hidden),
        "self_attn.v_proj": (keys * width, hidden),
        "self_attn.o_proj": (hidden, heads * width),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
    }
    for layer in range(layers):
        names = {f"model.layers.{layer}.{name}.weight": shape for name, shape in block.items()}
        put(f"layer-{layer}.safetensors", names)
    index = {"metadata": {"total_size": 2 * total}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return total / 1e9


def anonymous_memory(process: int) -> int:
    """Anonymous memory of a process and its children, bytes; 0 when it has ended."""
    try:
        found = _ANONYMOUS.search(Path(f"/proc/{process}/status").read_text())
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return 0
    own = 0 if found is None else int(found[1]) * 1024
    return own + sum(anonymous_memory(int(child)) for child in children)


@contextmanager
def watched(process: int) -> Iterator[list[int]]:
    """Look at a process until the block ends; what was seen last and at most stands in the list."""
    ended, seen = threading.Event(), [0]

    def look() -> None:
        while not ended.wait(_INTERVAL):
            seen[0] = max(seen[0], anonymous_memory(process))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def export_once(kind: str, write: Callable[[Path], float], work: Path, options: list[str]) -> Peak:
    """Write a model into a folder, and export it in a process of its own."""
    out = work / "out"
    billions = write(work / "model")
    begin = time.perf_counter()
    command = [sys.executable, "-m", "nanoaccel", "export", str(work / "model"), str(out), *options]
    process = subprocess.Popen(command)
    with watched(process.pid) as seen:
        code = process.wait()
    if code != 0:
        raise SystemExit(code)
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return Peak(kind, billions, seen[0], report["expected_memory"], time.perf_counter() - begin)


def report(peaks: list[Peak]) -> str:
    """A row for each export, and the line through them."""
    rows = [
        [
            one.kind,
            f"{one.billions:.2f}",
            f"{one.peak / 1e9:.2f}",
            f"{one.expected / 1e9:.2f}",
            f"{one.expected / one.peak - 1:+.0%}",
            f"{one.seconds:.0f}",
        ]
        for one in peaks
    ]
    shown = table(
        ["kind", "billion weights", "peak, GB", "expected, GB", "off by", "seconds"], rows
    )
    if len(peaks) < 2 or len({one.kind for one in peaks}) > 1:
        return shown
    slope, start = np.polyfit([one.billions for one in peaks], [one.peak / 1e9 for one in peaks], 1)
    return (
        f"{shown}\n\npeak = {start:.2f} GB + {slope:.2f} GB for each billion of weights; "
        f"8 billion: {start + 8 * slope:.1f} GB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--billions", type=int, nargs="+", default=[1, 2, 3], choices=_SHAPES)
    parser.add_argument("--kinds", nargs="+", default=[], choices=KINDS)
    parser.add_argument("--calibrated", action="store_true", help="scale estimation")
    parser.add_argument("--runtime", default="openvino")
    parser.add_argument("--judge-tokens", default="512")
    parser.add_argument("--folder", type=Path, help="where the models lie for that time")
    given = parser.parse_args()
    print(machine(), flush=True)
    options = [*(_CALIBRATED if given.calibrated else _FREE)]
    options += ["--runtime", given.runtime, "--judge-tokens", given.judge_tokens, "--draft", "none"]
    models = [(kind, partial(write_random_kind, kind=kind)) for kind in given.kinds]
    if not models:
        models = [("llama", partial(write_llama, billions=size)) for size in given.billions]
    peaks = []
    for kind, write in models:
        with tempfile.TemporaryDirectory(dir=given.folder) as work:
            peaks.append(export_once(kind, write, Path(work), options))
    print(report(peaks))


if __name__ == "__main__":
    main()
