"""A head's ONNX graph computes what its OpenVINO graph does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ir = pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")

import openvino as ov  # noqa: E402
from openvino import opset13 as ops  # noqa: E402
from support.heads import describe_head  # noqa: E402
from support.small_heads import small_shape  # noqa: E402

from nanoaccel.bundle import Head  # noqa: E402
from nanoaccel.errors import ExportError  # noqa: E402
from nanoaccel.exporters.quantize.recipe import Recipe  # noqa: E402
from nanoaccel.exporters.quiet import quiet  # noqa: E402
from nanoaccel.exporters.source.drafts import DraftChoice, add_draft  # noqa: E402
from nanoaccel.exporters.targets.head_graphs import give_graphs  # noqa: E402
from nanoaccel.exporters.targets.onnx.head import convert_head  # noqa: E402
from nanoaccel.finetune.drafts.head import DraftHead  # noqa: E402
from nanoaccel.finetune.drafts.head_graph import write_graph  # noqa: E402
from nanoaccel.registry import BACKENDS  # noqa: E402
from nanoaccel.runtime.backends import BackendOptions  # noqa: E402
from nanoaccel.runtime.execution.loader import LoadedModel  # noqa: E402
from nanoaccel.runtime.kv import CacheShape  # noqa: E402
from nanoaccel.runtime.speculation.drafters.draft_graph import DraftGraph, Rows  # noqa: E402

pytestmark = pytest.mark.export

VOCAB_SIZE = 100
VOCABULARY = tuple(range(3, 90, 2))
POSITIONS = 128
GROUP = 32
SHAPE = replace(small_shape(len(VOCABULARY)), hidden=2 * GROUP, head_dim=16, intermediate=3 * GROUP)
WIDTH = SHAPE.num_layers * SHAPE.hidden
RECIPES = {
    "f32": Recipe(weights="f32"),
    "int8": Recipe(weights="int8"),
    "int4": Recipe(weights="int4", group_size=GROUP),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Random heads as training leaves them, by their weights; tests that change one copy it."""

    @cache
    def make(weights: str) -> Path:
        folder = tmp_path_factory.mktemp(weights)
        torch.manual_seed(0)
        head = DraftHead(SHAPE).eval()
        with torch.no_grad():
            for weight in head.parameters():
                weight.add_(0.1 * torch.randn_like(weight))
        with quiet():
            write_graph(head, VOCABULARY, VOCAB_SIZE, folder / "head.xml", RECIPES[weights])
        describe_head(folder)
        return folder

    return make


@pytest.fixture(scope="module", params=RECIPES)
def folder(
    request: pytest.FixtureRequest,
    trained: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A head with both graphs."""
    made = tmp_path_factory.mktemp("heads") / "head"
    shutil.copytree(trained(request.param), made)
    give_graphs(made, ["openvino", "onnx"], POSITIONS)
    return made


@contextmanager
def running(folder: Path, runtime: str, precision: str) -> Iterator[DraftGraph]:
    graph = Head.open(folder).graph_for(runtime)
    options = BackendOptions(
        graph=graph,
        threads=1,
        precision=precision,
        weight_group_size=GROUP,
        role="draft",
    )
    backend = BACKENDS.resolve(runtime)(options)
    shape = CacheShape(num_blocks=16, block_size=backend.info.block_size, length=POSITIONS)
    backend.allocate_cache(shape.num_blocks)
    draft = DraftGraph(LoadedModel(runtime, "head", backend, shape))
    yield draft
    draft.close()


def batches() -> Iterator[list[Rows]]:
    """Texts that begin at several positions and grow by some tokens, or fall back by some."""
    random = np.random.default_rng(0)
    places, starts = [0, 0, 0], [0, 5, POSITIONS - 40]
    for _ in range(12):
        batch = []
        for text in random.permutation(3)[: random.integers(1, 4)].tolist():
            count = int(random.integers(1, 5))
            past = max(0, min(places[text], 40 - count) - int(random.integers(0, 2)))
            features = np.zeros((count, WIDTH + SHAPE.hidden), np.float32)
            own = bool(random.random() < 0.5)
            part = slice(WIDTH, None) if own else slice(0, WIDTH)
            features[:, part] = random.normal(scale=1 if own else 9, size=features[:, part].shape)
            tokens = random.integers(0, VOCAB_SIZE, count)
            batch.append(Rows(text, past, starts[text] + past, tokens, features))
            places[text] = past + count
        yield batch


def run_both(
    folder: Path, precision: str
) -> Iterator[tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    """Logits and states of each batch, by OpenVINO and by ONNX Runtime."""
    with (
        running(folder, "openvino", precision) as openvino,
        running(folder, "onnx", precision) as onnx,
    ):
        for batch in batches():
            found = []
            for graph in (openvino, onnx):
                assert all(graph.has_room(rows) for rows in batch)
                result = graph.run(batch)
                assert result.hidden is not None
                count = sum(len(rows.tokens) for rows in batch)
                found.append((result.logits.copy(), result.hidden[:count].copy()))
            yield found[0], found[1]


def test_onnx_head_computes_as_openvino_does(folder: Path) -> None:
    for (logits, hidden), (onnx_logits, onnx_hidden) in run_both(folder, "f32"):
        assert onnx_logits.shape[1] == len(VOCABULARY) + 1
        np.testing.assert_allclose(onnx_logits, logits, atol=1e-3)
        np.testing.assert_allclose(onnx_hidden, hidden, atol=1e-3)


def test_onnx_head_guesses_alike_where_it_rounds_activations(folder: Path) -> None:
    alike = np.concatenate(
        [
            logits.argmax(-1) == onnx_logits.argmax(-1)
            for (logits, _), (onnx_logits, _) in run_both(folder, "auto")
        ]
    )
    assert alike.mean() > 0.9


def test_onnx_head_stores_no_more_than_openvino(folder: Path) -> None:
    # All but what is written out for 100 tokens.
    size = (folder / "head.onnx.data").stat().st_size
    assert size < 1.05 * (folder / "head.bin").stat().st_size


def test_onnx_head_makes_one_product_of_those_of_one_input(
    trained: Callable[[str], Path], tmp_path: Path
) -> None:
    convert_head(trained("int4") / "head.xml", tmp_path, "head.onnx", POSITIONS)
    nodes = list(ir.load(tmp_path / "head.onnx").graph)
    products = [node for node in nodes if node.op_type == "MatMulNBits"]
    assert len(products) == 6  # in, qkv, o, gate and up, down, logits
    assert {node.attributes["accuracy_level"].as_int() for node in products} == {4}
    assert sum(node.op_type == "GroupQueryAttention" for node in nodes) == 1


def test_give_graphs_leaves_those_for_the_runtimes_of_the_bundle(
    trained: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "head"
    shutil.copytree(trained("int4"), folder)
    before = Head.open(folder).manifest
    give_graphs(folder, ["onnx", "openvino"], POSITIONS)
    both = Head.open(folder)
    assert both.runtimes == ("onnx", "openvino")
    assert both.graph == folder / "head.onnx"
    assert both.graph_for("openvino") == folder / "head.xml"
    give_graphs(folder, ["onnx"], POSITIONS)
    alone = Head.open(folder)
    assert alone.runtimes == ("onnx",)
    files = {"head.onnx", "head.onnx.data", "head.f32.onnx"}
    assert {entry.path for entry in alone.manifest.files} == files
    assert {path.name for path in folder.iterdir()} == {*files, "nanoaccel-head.json"}
    again = replace(alone.manifest, runtime="openvino", graph="head.xml", files=before.files)
    assert again == before


def test_place_draft_converts_a_head_for_the_runtimes_of_the_bundle(
    trained: Callable[[str], Path], tmp_path: Path
) -> None:
    chosen = DraftChoice("head", str(trained("int4")), "it was named")
    add_draft(chosen, tmp_path, lambda *_: None, targets=["onnx"], context=POSITIONS)
    head = Head.open(tmp_path / "draft")
    assert head.runtimes == ("onnx",)
    with running(head.folder, "onnx", "auto") as graph:
        graph.warm_up(1, WIDTH + SHAPE.hidden)


def test_convert_head_refuses_what_is_none(tmp_path: Path) -> None:
    ids = ops.parameter([-1, -1], np.int64, name="input_ids")
    ov.save_model(ov.Model([ops.relu(ids)], [ids], "other"), tmp_path / "other.xml")
    with pytest.raises(ExportError, match="the graph of the head lacks"):
        convert_head(tmp_path / "other.xml", tmp_path, "head.onnx", POSITIONS)
    assert not (tmp_path / "head.onnx").exists()
