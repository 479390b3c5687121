"""Adapters for the fake backend, in PEFT's format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np

from nanoaccel.adapters.folder import read_adapter
from nanoaccel.runtime.adapters.fit import fit
from nanoaccel.runtime.adapters.registry import RegisteredAdapter
from nanoaccel.runtime.backends.fake import FakeBackend
from nanoaccel.runtime.types.low_rank import LowRankUpdate
from nanoaccel.runtime.types.plan import Float32Array

PREFIX = "base_model.model."
Shapes = Mapping[str, tuple[int, int]]


def write_tensors(path: Path, tensors: Mapping[str, Float32Array]) -> None:
    """A safetensors file of f32."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        size = tensor.nbytes
        header[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [end, end + size],
        }
        end += size
    text = json.dumps(header).encode()
    data = b"".join(tensor.astype("<f4").tobytes() for tensor in tensors.values())
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def tensors_of(seed: int, shapes: Shapes, rank: int = 2) -> dict[str, Float32Array]:
    """Random updates of all modules, under PEFT's names."""
    draw = np.random.default_rng(seed)
    found = {}
    for module, (outputs, inputs) in shapes.items():
        found[f"{PREFIX}{module}.lora_A.weight"] = draw.normal(size=(rank, inputs))
        found[f"{PREFIX}{module}.lora_B.weight"] = draw.normal(size=(outputs, rank))
    return {name: tensor.astype(np.float32) for name, tensor in found.items()}


def write_adapter(
    folder: Path,
    seed: int = 0,
    *,
    shapes: Shapes = FakeBackend.adaptable,
    rank: int = 2,
    tensors: Mapping[str, Float32Array] | None = None,
    **config: Any,
) -> Path:
    """An adapter's folder.

    Args:
        folder: It.
        seed: Of its numbers.
        shapes: Outputs and inputs of the modules that it changes.
        rank: Of all of them.
        tensors: What it holds instead.
        config: Beside, or instead of, what is usual in adapter_config.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    usual = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps({**usual, **config}))
    held = tensors_of(seed, shapes, rank) if tensors is None else tensors
    write_tensors(folder / "adapter_model.safetensors", held)
    return folder


def note_base(folder: Path, id: str, fingerprint: str) -> None:
    """What NanoAccel writes beside an adapter."""
    base = {"id": id, "revision": None, "fingerprint": fingerprint}
    (folder / "nanoaccel_adapter.json").write_text(json.dumps({"base": base}))


class LaterExecutor(Executor):
    """Runs what is submitted when a test says so, or at once.

    Args:
        at_once: Whether it does not wait.

    Attributes:
        calls: What waits.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self.calls: list[Callable[[], Any]] = []
        self._at_once = at_once

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls.append(lambda: fn(*args, **kwargs))
        if self._at_once:
            self.run()
        return Future()

    def run(self, count: int | None = None) -> None:
        """Run what waits, the first ones, or all."""
        for _ in range(len(self.calls) if count is None else count):
            self.calls.pop(0)()


def registered(folder: Path, count: int) -> list[RegisteredAdapter]:
    """Adapters that differ, below a folder, as a registry has them."""
    made = []
    for seed in range(count):
        adapter = read_adapter(write_adapter(folder / f"adapter{seed}", seed))
        made.append(RegisteredAdapter(f"adapter{seed}", adapter.folder, adapter.fingerprint))
    return made


def read_updates(adapter: RegisteredAdapter) -> Mapping[str, LowRankUpdate]:
    """What a registry loads."""
    return fit(read_adapter(adapter.folder), FakeBackend.adaptable)
