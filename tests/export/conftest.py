"""Exports of a tiny model again and again, without what takes the time and is the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from support.untied_model import SMALL

from nanoaccel.testing import tiny_models


@pytest.fixture(scope="session")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose head is a matrix of its own."""
    return tiny_models.write_model(
        tmp_path_factory.mktemp("models") / "untied", tie_word_embeddings=False, **SMALL
    )


@pytest.fixture
def folder(untied: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(untied, tmp_path / "model"))


@pytest.fixture(scope="session")
def traced_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Graphs by what they were traced from."""
    return tmp_path_factory.mktemp("traced")


@pytest.fixture(scope="module", autouse=True)
def traced_once(traced_models: Path) -> Iterator[None]:
    """Let exports trace the same weights once, and copy the graph from then on."""
    if find_spec("transformers") is None:
        yield
        return
    from nanoaccel.exporters.targets.openvino import trace as module

    trace = module.trace

    def copied(model: Any, folder: Path) -> Path:
        kept = traced_models / digest(model)
        if not kept.is_dir():
            graph = trace(model, folder)
            shutil.copytree(folder, kept)
            return graph
        shutil.copytree(kept, folder)
        return folder / module.GRAPH

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "trace", copied)
        yield


def digest(model: Any) -> str:
    """Of its config and of every number."""
    import torch

    found = sha256(f"{model.dtype} {model.config.to_json_string()}".encode())
    for name, tensor in model.state_dict().items():
        found.update(f"{name} {tensor.shape} {tensor.dtype}".encode())
        found.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
