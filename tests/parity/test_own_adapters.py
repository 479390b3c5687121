"""Adapters inside NanoAccel's operators: PEFT's logits, and the same bits in any company."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.random_adapters import peft_model, random_updates, updates_of

from nanoaccel.testing import tiny_models
from nanoaccel.testing.sequences import BLOCKS, Sequences

pytest.importorskip("onnx_ir")
pytest.importorskip("peft")
pytest.importorskip("torch")

import onnx
import torch
from support.onnx_models import OnnxModel

from nanoaccel.bundle import folded_scales, module_rows
from nanoaccel.bundle.folded_scales import FoldedScales
from nanoaccel.errors import ConfigError
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.runtime.backends import BackendOptions, Precision
from nanoaccel.runtime.backends.onnxruntime import load
from nanoaccel.runtime.backends.onnxruntime.block_backend import OnnxBlockBackend
from nanoaccel.runtime.native import find_operators
from nanoaccel.runtime.native.library import ISA, NONE, REFERENCE
from nanoaccel.runtime.types.low_rank import LowRankUpdate

OPERATORS = find_operators()
pytestmark = [
    pytest.mark.export,
    pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason),
]
LENGTHS = [60, 33, 40, 9]
SLOTS = [0, -1, 1, 0]
UP, DOWN = "model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj"


def opened(graph: Path, precision: Precision = "auto") -> OnnxBlockBackend:
    backend = load(BackendOptions(graph=graph, adapters=True, precision=precision))
    assert isinstance(backend, OnnxBlockBackend)
    backend.allocate_cache(BLOCKS)
    return backend


@pytest.fixture(scope="module")
def int4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama in int4."""
    folder = tmp_path_factory.mktemp("int4")
    made = OnnxModel.make(folder, tiny_models.make_model("llama"))
    return made.export(folder / "out", Recipe(weights="int4", group_size=32))[0]


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama in f32."""
    folder = tmp_path_factory.mktemp("f32")
    made = OnnxModel.make(folder, tiny_models.make_model("llama"))
    return made.export(folder / "out", Recipe(weights="f32"))[0]


# Phi-3 has one module for q, k and v and one for gate and up; the others' are fused by the export.
@pytest.mark.parametrize(
    ("kind", "rank", "targets"),
    [
        ("llama", 16, "all-linear"),
        ("llama", 64, ["q_proj", "up_proj", "lm_head"]),
        ("gemma3_text", 5, ["k_proj", "v_proj", "gate_proj", "down_proj"]),
        ("phi3", 16, "all-linear"),
    ],
)
def test_logits_are_those_of_peft(
    kind: str, rank: int, targets: str | list[str], tmp_path: Path
) -> None:
    plain = tiny_models.make_model(kind)
    graph, _ = OnnxModel.make(tmp_path, plain).export(tmp_path / "out", Recipe(weights="f32"))
    backend = opened(graph, "f32")
    adapted = peft_model(plain, rank, targets)
    updates = updates_of(adapted)
    shapes = {name: (len(one.up), one.down.shape[1]) for name, one in updates.items()}
    assert {name: backend.adaptable[name] for name in updates} == shapes
    backend.load_adapter(3, updates)
    sequences = Sequences(backend, [40, 40])
    sequences.tokens[1] = sequences.tokens[0]
    rows = list(range(80))
    found = sequences.step([(0, 0, 40), (1, 0, 40)], rows, adapters=[3, -1]).logits.copy()
    ids = torch.tensor(sequences.tokens[0])[None]
    with torch.no_grad():
        wanted = adapted(ids).logits[0].numpy()
        with adapted.disable_adapter():
            without = adapted(ids).logits[0].numpy()
    assert np.abs(wanted - without).max() > 0.1
    assert np.abs(found[:40] - wanted).max() < 1e-3
    assert np.abs(found[40:] - without).max() < 1e-3
    backend.close()


@pytest.fixture(scope="module")
def alone(int4: Path) -> list[np.ndarray]:
    """Logits by the scalar reference, each sequence in one pass of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ISA, REFERENCE)
        backend = adapted(int4)
    sequences = Sequences(backend, LENGTHS)
    found = []
    for s, length in enumerate(LENGTHS):
        step = sequences.step([(s, 0, length)], list(range(length)), adapters=[SLOTS[s]])
        found.append(step.logits.copy())
    backend.close()
    return found


def adapted(graph: Path) -> OnnxBlockBackend:
    """A backend with two adapters of different ranks."""
    backend = opened(graph)
    for slot, rank in enumerate((4, 24)):
        backend.load_adapter(slot, random_updates(backend.adaptable, rank, slot))
    return backend


@pytest.fixture(params=OPERATORS.paths)
def backend(
    int4: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OnnxBlockBackend]:
    monkeypatch.setenv(ISA, request.param)
    made = adapted(int4)
    yield made
    made.close()


def test_adapters_give_the_same_bits_in_any_company(
    backend: OnnxBlockBackend, alone: list[np.ndarray]
) -> None:
    sequences = Sequences(backend, LENGTHS)
    for seed in range(3):
        random = np.random.default_rng(seed)
        done = [0] * len(LENGTHS)
        while done != LENGTHS:
            left = [s for s, n in enumerate(LENGTHS) if done[s] < n]
            chosen = [int(s) for s in random.permutation(left)[: random.integers(1, 5)]]
            most = int(random.choice([1, 5, 40]))
            ends = [min(LENGTHS[s], done[s] + int(random.integers(1, most + 1))) for s in chosen]
            pieces = [(s, done[s], end) for s, end in zip(chosen, ends, strict=True)]
            counts = [end - start for _, start, end in pieces]
            rows = list(range(sum(counts)))
            step = sequences.step(pieces, rows, adapters=[SLOTS[s] for s in chosen])
            parts = np.split(step.logits, np.cumsum(counts)[:-1])
            for (s, start, end), found in zip(pieces, parts, strict=True):
                wanted = alone[s][start:end]
                assert np.array_equal(found.view(np.int32), wanted.view(np.int32)), (seed, s)
                done[s] = end


def test_pass_without_adapters_is_that_of_a_backend_without(int4: Path) -> None:
    prepared = adapted(int4)
    plain = load(BackendOptions(graph=int4))
    plain.allocate_cache(BLOCKS)
    pieces = [(0, 0, 60), (1, 0, 33)]
    found = Sequences(prepared, LENGTHS).step(pieces).logits.copy()
    assert np.array_equal(found, Sequences(plain, LENGTHS).step(pieces).logits)
    changed = Sequences(prepared, LENGTHS).step(pieces, adapters=[1, 1]).logits
    assert np.abs(changed - found).max() > 0.1
    prepared.close()
    plain.close()


def test_slot_holds_what_was_loaded_last(exact: Path) -> None:
    backend = opened(exact)
    sequences = Sequences(backend, LENGTHS)

    def logits(slot: int) -> np.ndarray:
        return sequences.step([(0, 0, 60)], adapters=[slot]).logits.copy()

    first, second = (random_updates(backend.adaptable, 8, seed) for seed in (1, 2))
    backend.load_adapter(0, first)
    of_first = logits(0)
    backend.load_adapter(1, second)
    backend.unload_adapter(0)
    with pytest.raises(Exception, match="slot 0 has no adapter"):
        logits(0)
    backend.load_adapter(0, second)
    assert np.array_equal(logits(0), logits(1))
    assert not np.array_equal(logits(0), of_first)
    backend.close()


def edited(graph: Path, folder: Path, **told: str | None) -> Path:
    """A copy of a graph that says other things about itself."""
    shutil.copytree(graph.parent, folder, dirs_exist_ok=True)
    model = onnx.load(graph, load_external_data=False)
    kept = {one.key: one.value for one in model.metadata_props} | {
        f"nanoaccel.{name}": text for name, text in told.items()
    }
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {k: v for k, v in kept.items() if v is not None})
    onnx.save(model, folder / graph.name)
    return folder / graph.name


def test_update_is_scaled_as_the_matrices_were(exact: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    factors = random.uniform(0.5, 2, 96).astype(np.float32)
    folded = FoldedScales(inputs={DOWN: factors}, outputs={UP: factors})
    scaled = opened(edited(exact, tmp_path, folded_scales=str(folded)))
    plain = opened(exact)
    updates = {
        name: LowRankUpdate(
            random.normal(size=(4, inputs)).astype(np.float32) / 8,
            random.normal(size=(outputs, 4)).astype(np.float32) / 8,
        )
        for name, (outputs, inputs) in plain.adaptable.items()
        if name in (UP, DOWN)
    }
    scaled.load_adapter(0, updates)
    by_hand = {
        UP: replace(updates[UP], up=updates[UP].up * factors[:, None]),
        DOWN: replace(updates[DOWN], down=updates[DOWN].down / factors),
    }
    plain.load_adapter(0, by_hand)
    found, wanted = (
        Sequences(one, LENGTHS).step([(0, 0, 60)], adapters=[0]).logits for one in (scaled, plain)
    )
    assert np.array_equal(found, wanted)
    scaled.close()
    plain.close()


@pytest.mark.parametrize("missing", ["modules", "folded_scales"])
def test_graph_that_does_not_tell_its_modules_is_refused_by_name(
    missing: str, exact: Path, tmp_path: Path
) -> None:
    graph = edited(exact, tmp_path, **{missing: None})
    with pytest.raises(ConfigError, match="Export the model again"):
        load(BackendOptions(graph=graph, adapters=True))
    load(BackendOptions(graph=graph)).close()


def test_adapters_without_own_operators_are_refused_by_name(
    exact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ISA, NONE)
    with pytest.raises(ConfigError, match="operators"):
        load(BackendOptions(graph=exact, adapters=True))


def test_adapter_with_what_is_no_number_is_refused(exact: Path) -> None:
    backend = opened(exact)
    updates = random_updates(backend.adaptable, 2, 0)
    next(iter(updates.values())).up[0, 0] = np.nan
    with pytest.raises(ConfigError, match="not finite"):
        backend.load_adapter(0, updates)
    backend.load_adapter(0, random_updates(backend.adaptable, 2, 0))
    backend.close()


def test_experts_are_not_offered(tmp_path: Path) -> None:
    made = OnnxModel.make(tmp_path, tiny_models.make_model("qwen3_moe"))
    graph, _ = made.export(tmp_path / "out", Recipe(weights="f32"))
    backend = opened(graph)
    assert "model.layers.0.self_attn.q_proj" in backend.adaptable
    assert not any("experts" in name for name in backend.adaptable)
    backend.close()


def test_graph_tells_its_modules(exact: Path) -> None:
    told = {one.key: one.value for one in onnx.load(exact, load_external_data=False).metadata_props}
    modules = [
        part
        for parts in module_rows.read_modules(told[module_rows.METADATA]).values()
        for part in parts
    ]
    assert module_rows.ModuleRows("model.layers.0.self_attn.k_proj", 32) in modules
    assert FoldedScales.parse(told[folded_scales.METADATA]) == FoldedScales()
