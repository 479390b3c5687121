"""Adapters by sequence on OpenVINO give what peft gives, each alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest

from nanoaccel.testing import tiny_models

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

from nanoaccel.bundle.folded_scales import RUNTIME_INFO, FoldedScales  # noqa: E402
from nanoaccel.errors import ConfigError  # noqa: E402
from nanoaccel.exporters.quiet import quiet  # noqa: E402
from nanoaccel.exporters.targets.openvino.trace import trace  # noqa: E402
from nanoaccel.openvino_core import openvino_core  # noqa: E402
from nanoaccel.runtime.backends import Backend, BackendOptions  # noqa: E402
from nanoaccel.runtime.backends.base import AdapterHolder  # noqa: E402
from nanoaccel.runtime.backends.openvino import compilation, load  # noqa: E402
from nanoaccel.runtime.backends.openvino.graph_copies import GraphCopies  # noqa: E402
from nanoaccel.runtime.types.low_rank import LowRankUpdate  # noqa: E402
from nanoaccel.runtime.types.plan import StepPlan  # noqa: E402

pytestmark = pytest.mark.export

# Apart and joined, q/k/v with a bias, norms around, modules that are joined, matrices turned.
FUSED = {"llama": False, "qwen2": True, "gemma3_text": True, "phi3": False, "gpt2": False}
_RANKS = {"some": 3, "all": 16, "last": 8}
_LENGTHS = (5, 33, 1, 70)


@dataclass(frozen=True)
class Case:
    """A model, its graph, and its adapters."""

    kind: str
    graph: Path
    model: Any

    def updates(self, name: str) -> dict[str, LowRankUpdate]:
        """What an adapter adds, by module of the original."""
        prefix = "base_model.model."
        return {
            path.removeprefix(prefix): LowRankUpdate(
                module.lora_A[name].weight.detach().numpy(),
                (module.lora_B[name].weight * module.scaling[name]).detach().numpy(),
            )
            for path, module in self.model.named_modules()
            if name in getattr(module, "lora_A", {})
        }

    def expected(self, ids: np.ndarray, name: str | None) -> np.ndarray:
        """Torch's last logits of a text."""
        with torch.inference_mode():
            if name is None:
                with self.model.disable_adapter():
                    return self.model(torch.tensor(ids[None])).logits[0, -1].numpy()
            self.model.set_adapter(name)
            return self.model(torch.tensor(ids[None])).logits[0, -1].numpy()


def _adapted(kind: str) -> Any:
    """A tiny model with random adapters: of some modules, of all, of all in the last layer."""
    model = tiny_models.make_model(kind)
    linear = {type(m).__name__ for m in model.modules()} & {"Linear", "Conv1D"}
    leaves = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if type(module).__name__ in linear and name != "lm_head"
    }
    some = sorted(leaves)[::2]
    turned = {"fan_in_fan_out": "Conv1D" in linear, "init_lora_weights": False}
    modules = {"some": some, "all": sorted(leaves), "last": sorted(leaves)}
    torch.manual_seed(1)
    made = None
    for name, rank in _RANKS.items():
        only = {"layers_to_transform": [2]} if name == "last" else {}
        config = peft.LoraConfig(
            r=rank, lora_alpha=2 * rank, target_modules=modules[name], **only, **turned
        )
        if made is None:
            made = peft.get_peft_model(model, config, adapter_name=name)
        else:
            made.add_adapter(name, config)
    assert made is not None
    return made.eval()


@pytest.fixture(scope="module", params=FUSED)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp(request.param)
    model = tiny_models.make_model(request.param)
    folded = _fold(model) if request.param == "llama" else FoldedScales()
    return Case(request.param, _traced(model, folded, folder), _adapted(request.param))


def _fold(model: Any) -> FoldedScales:
    """Move factors from a matrix into the one in front of it, as AWQ does."""
    factors = np.linspace(0.25, 4, 96, dtype=np.float32)
    up, down = (f"model.layers.1.mlp.{name}" for name in ("up_proj", "down_proj"))
    with torch.no_grad():
        model.get_submodule(up).weight.mul_(torch.tensor(factors)[:, None])
        model.get_submodule(down).weight.div_(torch.tensor(factors))
    return FoldedScales(inputs={down: factors}, outputs={up: factors})


def _traced(model: Any, folded: FoldedScales, folder: Path) -> Path:
    """The graph of a model, that tells what was folded in it."""
    with quiet():
        graph = openvino_core().read_model(trace(model, folder))
    graph.set_rt_info(str(folded), RUNTIME_INFO)
    path = folder / "told.xml"
    ov.save_model(graph, path, compress_to_fp16=False)
    return path


@pytest.fixture(scope="module")
def backend(case: Case) -> Iterator[Backend]:
    made = make(case, adapters=True, fuse_projections=FUSED[case.kind])
    yield made
    made.close()


def make(case: Case, **options: Any) -> Backend:
    made = load(BackendOptions(graph=case.graph, **{"precision": "f32", **options}))
    made.allocate_cache(32)
    return made


def prompts(adapters: list[int], seed: int = 0) -> tuple[StepPlan, list[np.ndarray]]:
    """Whole prompts in one step, and their tokens."""
    lengths = _LENGTHS[: len(adapters)]
    random = np.random.default_rng(seed)
    texts = [random.integers(3, tiny_models.VOCAB_SIZE, length) for length in lengths]
    blocks = [-(-length // 32) for length in lengths]
    plan = StepPlan(
        token_ids=np.concatenate(texts),
        positions=np.concatenate([np.arange(length) for length in lengths]),
        seq_begins=np.cumsum([0, *lengths]).astype(np.int32),
        past_lens=np.zeros(len(lengths), np.int32),
        block_ids=np.arange(sum(blocks), dtype=np.int32),
        block_begins=np.cumsum([0, *blocks]).astype(np.int32),
        logits_rows=np.cumsum(lengths) - 1,
        adapters=np.array(adapters, np.int32),
    )
    return plan, texts


def test_adapters_of_one_pass_give_what_peft_gives(case: Case, backend: Backend) -> None:
    assert isinstance(backend, AdapterHolder)
    names = [*_RANKS, None]
    for slot, name in enumerate(_RANKS):
        updates = case.updates(name)
        sizes = {module: (len(one.up), one.down.shape[1]) for module, one in updates.items()}
        assert sizes.items() <= backend.adaptable.items()
        backend.load_adapter(slot, updates)
    plan, texts = prompts([0, 1, 2, -1])
    found = backend.forward(plan).logits.copy()
    for ids, name, logits in zip(texts, names, found, strict=True):
        expected = case.expected(ids, name)
        assert np.abs(logits - expected).max() < 1e-3 * max(1.0, np.abs(expected).max() / 20)
    plain = case.expected(texts[0], None)
    assert np.abs(found[0] - plain).max() > 0.1
    for slot in range(len(_RANKS)):
        backend.unload_adapter(slot)


def test_rows_without_adapter_are_those_of_the_graph_without(case: Case, backend: Backend) -> None:
    plain = make(case)
    assert isinstance(plain, AdapterHolder)
    assert plain.adaptable == {}
    assert isinstance(backend, AdapterHolder)
    backend.load_adapter(5, case.updates("all"))
    plan, _ = prompts([-1, 5, -1])
    expected = plain.forward(plan).logits.copy()
    mixed = backend.forward(plan).logits.copy()
    np.testing.assert_allclose(mixed[[0, 2]], expected[[0, 2]], atol=1e-4)
    assert np.abs(mixed[1] - expected[1]).max() > 0.1
    none, _ = prompts([-1, -1, -1])
    np.testing.assert_allclose(backend.forward(none).logits, expected, atol=1e-4)
    backend.unload_adapter(5)
    plain.close()


@pytest.mark.parametrize("case", ["llama"], indirect=True)
def test_adapters_come_and_go_during_passes(case: Case, backend: Backend) -> None:
    assert isinstance(backend, AdapterHolder)
    holder: AdapterHolder = backend
    holder.load_adapter(0, case.updates("all"))
    plan, _ = prompts([0, -1])
    expected = backend.forward(plan).logits.copy()
    stop = threading.Event()

    def swap() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            for slot in range(1, 2 + turn % 12):  # the tables grow
                holder.load_adapter(slot, case.updates(list(_RANKS)[slot % 3]))
            for slot in range(1, 2 + turn % 12):
                holder.unload_adapter(slot)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(100):
            np.testing.assert_array_equal(backend.forward(plan).logits, expected)
    finally:
        stop.set()
        thread.join()
    holder.unload_adapter(0)


def test_graph_that_does_not_tell_what_was_folded_is_refused(tmp_path: Path) -> None:
    with quiet():
        graph = trace(tiny_models.make_model("llama", num_hidden_layers=1), tmp_path)
    with pytest.raises(ConfigError, match="Export the model again"):
        load(BackendOptions(graph=graph, adapters=True))


@pytest.mark.parametrize("case", ["llama"], indirect=True)
def test_one_graph_serves_all_where_memory_is_short(
    case: Case, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "free_memory", lambda: 0)
    small = make(case, adapters=True)
    for holder in (small, backend):
        assert isinstance(holder, AdapterHolder)
        holder.load_adapter(2, case.updates("all"))
    assert isinstance(small._copies, GraphCopies)  # type: ignore[attr-defined]
    for adapters in ([-1, -1], [2, -1], [-1, -1], [2, 2]):
        plan, _ = prompts(adapters)
        expected = backend.forward(plan).logits.copy()
        np.testing.assert_allclose(small.forward(plan).logits, expected, atol=1e-4)
    assert isinstance(backend, AdapterHolder)
    backend.unload_adapter(2)
    small.close()


@pytest.mark.parametrize("case", ["llama"], indirect=True)
def test_layers_tell_what_they_gave_with_the_adapter(case: Case) -> None:
    telling = make(case, adapters=True, hidden_layers=(0, 1))
    assert isinstance(telling, AdapterHolder)
    telling.load_adapter(0, case.updates("all"))
    plan, (ids,) = prompts([0])
    found = telling.forward(replace(plan, states=True))
    case.model.set_adapter("all")
    with torch.inference_mode():
        told = case.model(torch.tensor(ids[None]), output_hidden_states=True).hidden_states
    expected = torch.cat([told[1][0], told[2][0]], -1).numpy()
    assert found.hidden is not None
    assert found.states is not None
    np.testing.assert_allclose(found.hidden, expected, atol=1e-3 * np.abs(expected).max())
    np.testing.assert_allclose(found.states, told[-1][0].numpy(), atol=1e-3)
    telling.close()
