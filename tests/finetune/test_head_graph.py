"""The exported head computes what the trained one does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.training_examples import make_example

torch = pytest.importorskip("torch")

from support.small_heads import small_shape  # noqa: E402

from nanoaccel.bundle import HEAD, HeadManifest, list_files  # noqa: E402
from nanoaccel.errors import ConfigError  # noqa: E402
from nanoaccel.exporters.quantize.recipe import Recipe  # noqa: E402
from nanoaccel.exporters.quiet import quiet  # noqa: E402
from nanoaccel.finetune.drafts.batches import collate  # noqa: E402
from nanoaccel.finetune.drafts.head import DraftHead  # noqa: E402
from nanoaccel.finetune.drafts.head_graph import write_graph  # noqa: E402
from nanoaccel.finetune.drafts.head_start import continue_head  # noqa: E402
from nanoaccel.runtime.backends import BackendOptions  # noqa: E402
from nanoaccel.runtime.backends.openvino import load  # noqa: E402
from nanoaccel.runtime.execution.loader import LoadedModel  # noqa: E402
from nanoaccel.runtime.kv import CacheShape  # noqa: E402
from nanoaccel.runtime.speculation.drafters.draft_graph import DraftGraph, Rows  # noqa: E402

pytestmark = pytest.mark.export

VOCAB_SIZE = 100
VOCABULARY = tuple(range(3, 90, 2))
SHAPE = small_shape(len(VOCABULARY))
LENGTH = 20
WIDTH = SHAPE.num_layers * SHAPE.hidden


@pytest.fixture(scope="module")
def head() -> DraftHead:
    torch.manual_seed(0)
    made = DraftHead(SHAPE).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return made


@pytest.fixture(scope="module")
def graph(head: DraftHead, tmp_path_factory: pytest.TempPathFactory) -> DraftGraph:
    path = tmp_path_factory.mktemp("head") / "head.xml"
    with quiet():
        write_graph(head, VOCABULARY, VOCAB_SIZE, path, Recipe(weights="f32"))
    backend = load(BackendOptions(graph=path, precision="f32"))
    shape = CacheShape(num_blocks=8, block_size=backend.info.block_size, length=256)
    backend.allocate_cache(shape.num_blocks)
    for_rows = DraftGraph(LoadedModel("openvino", "head", backend, shape))
    assert for_rows.has_room(Rows(0, 0, 0, np.zeros(LENGTH + 1, np.int64)))
    return for_rows


def test_head_graph_guesses_as_torch_does_from_each_position(
    head: DraftHead, graph: DraftGraph
) -> None:
    example = make_example(3, LENGTH + 1, width=WIDTH, vocab_size=len(VOCABULARY))
    scale = np.sqrt((example.features.reshape(-1, 2, 32).astype("f4") ** 2).mean(-1, keepdims=True))
    scaled = example.features.reshape(-1, 2, 32) / scale  # as examples of a target are
    with torch.no_grad():
        batch = collate([example])
        features = torch.from_numpy(scaled.reshape(LENGTH + 1, -1)[None, :-1]).float()
        known = type(batch)(
            batch.first, batch.tokens, features, batch.likeliest, batch.chances, batch.taught
        )
        first, second = (head.logits(x)[0].numpy() for x in head.states(known, 2))
    tokens = np.array(VOCABULARY)[example.tokens[1:]]
    fed = np.pad(3.7 * features[0].numpy(), ((0, 0), (0, SHAPE.hidden)))  # raw ones have any size
    for place in range(1, LENGTH - 1):
        result = graph.run([Rows(0, 0, 0, tokens[:place], fed[:place])])
        assert result.logits.shape == (1, len(VOCABULARY) + 1)
        np.testing.assert_allclose(result.logits[0, :-1], first[place - 1], atol=2e-3)
        assert result.hidden is not None
        own = np.zeros((1, WIDTH + SHAPE.hidden), np.float32)
        own[0, WIDTH:] = result.hidden[-1]
        after = graph.run([Rows(0, place, place, tokens[place : place + 1], own)])
        np.testing.assert_allclose(after.logits[0, :-1], second[place], atol=2e-3)


def test_head_graph_reads_tokens_that_it_cannot_guess_as_one(graph: DraftGraph) -> None:
    features = np.ones((1, WIDTH + SHAPE.hidden), np.float32)
    features[:, WIDTH:] = 0

    def logits(token: int) -> np.ndarray:
        return graph.run([Rows(0, 0, 0, np.array([token]), features)]).logits[0].copy()

    assert (logits(4) == logits(98)).all()
    assert not np.allclose(logits(3), logits(4))


@pytest.fixture(scope="module")
def folder(head: DraftHead, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("folder")
    with quiet():
        write_graph(head, VOCABULARY, VOCAB_SIZE, made / "head.xml", Recipe(weights="f32"))
    manifest = HeadManifest(
        runtime="openvino",
        graph="head.xml",
        target="the target",
        layers=(0, 1),
        feature_size=WIDTH,
        hidden_size=SHAPE.hidden,
        vocabulary=VOCABULARY,
        weight_group_size=None,
        training={},
        files=list_files(made),
    )
    (made / HEAD).write_text(manifest.to_json())
    return made


def test_continue_head_has_the_weights_of_the_other(head: DraftHead, folder: Path) -> None:
    other = DraftHead(SHAPE)
    continue_head(other, folder, VOCABULARY)
    for name, weight in head.named_parameters():
        torch.testing.assert_close(other.get_parameter(name), weight)


def test_continue_head_keeps_the_embeddings_of_tokens_that_are_new(
    head: DraftHead, folder: Path
) -> None:
    other = DraftHead(SHAPE)
    own = other.table.weight[0].detach().clone()
    continue_head(other, folder, (VOCAB_SIZE - 1, *VOCABULARY[1:]))
    torch.testing.assert_close(other.table.weight[0], own)
    torch.testing.assert_close(other.table.weight[1:], head.table.weight[1:])


def test_continue_head_refuses_another_size(folder: Path) -> None:
    with pytest.raises(ConfigError, match="token_in of"):
        continue_head(DraftHead(replace(SHAPE, hidden=48)), folder, VOCABULARY)
