"""Exports hold a matrix or a block at a time, and give what they would give in one piece."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest

pytest.importorskip("torch")

from support.traced_graphs import compressed, saved_bytes, trace_llama

import nanoaccel
from nanoaccel.exporters.quantize.compression import mapped
from nanoaccel.exporters.quantize.compression.by_nncf import rows
from nanoaccel.exporters.quantize.compression.integers import insert
from nanoaccel.exporters.quantize.compression.mapped import MappedTensors
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.source.memory import check_memory, size_of
from nanoaccel.exporters.source.model_source import resolve
from nanoaccel.exporters.targets.openvino.runner import GraphRunner, run_over
from nanoaccel.exporters.targets.openvino.trace import GRAPH, trace
from nanoaccel.fuse_projections import fuse_projections
from nanoaccel.testing.tiny_models import make_model, write_model

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trace_llama(tmp_path_factory.mktemp("traced"), layers=1)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(symmetric=False),
        Recipe(weights="int8", symmetric=False),
        Recipe(weights="int3"),
        Recipe(weights="nf4"),
        Recipe(weights="nvfp4"),
        Recipe(weights="cb4"),
    ],
    ids=Recipe.describe,
)
def test_weights_in_a_file_and_by_rows_are_the_same_bytes(
    traced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    whole = compressed(traced, recipe)
    fuse_projections(whole)
    monkeypatch.setattr(mapped, "_SMALL", 0)
    monkeypatch.setattr(rows, "_NUMBERS", 4096)
    monkeypatch.setattr(insert, "_NUMBERS", 4096)
    with MappedTensors(tmp_path) as tensors:
        model = compressed(traced, recipe, tensors=tensors)
        fuse_projections(model, tensors.allocate)
    assert saved_bytes(model, tmp_path / "own") == saved_bytes(whole, tmp_path / "whole")


@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "mixtral", "gpt2"])
def test_a_graph_in_pieces_gives_the_logits_of_the_whole(kind: str, tmp_path: Path) -> None:
    with quiet():
        trace(make_model(kind), tmp_path)
    whole, found = GraphRunner(tmp_path / GRAPH), {}
    windows = [np.arange(3, 40), np.arange(5, 9)]
    run_over(tmp_path / GRAPH, windows, found.__setitem__)
    assert list(found) == [0, 1]
    for index, window in enumerate(windows):
        assert found[index] == pytest.approx(whole.logits(window), abs=1e-4)


_BUILD = """
import sys, tempfile
from pathlib import Path
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.progress import release_memory
from nanoaccel.exporters.targets.openvino import build

def anonymous():
    release_memory()
    line = next(x for x in open("/proc/self/status") if x.startswith("RssAnon"))
    return int(line.split()[1]) * 1024

recipe, out = Recipe(weights="int8"), Path(tempfile.mkdtemp(dir=sys.argv[3]))
build.build_graph(Path(sys.argv[1]), out / "small", recipe)  # loads what is loaded once
before, save = anonymous(), build.save_graph
build.save_graph = lambda model, path: (print(anonymous() - before), save(model, path))
build.build_graph(Path(sys.argv[2]), out / "large", recipe)
"""


def _write_graph(folder: Path, products: int, size: int) -> Path:
    """A chain of products with matrices of f32."""
    from openvino import opset13 as ops

    values: Any = ops.parameter([-1, size], np.float32, name="x")
    parameter = values
    for index in range(products):
        matrix = np.random.default_rng(index).standard_normal((size, size), np.float32)
        values = ops.matmul(values, ops.constant(matrix), False, True, name=f"product{index}")
    folder.mkdir()
    ov.save_model(ov.Model([values], [parameter]), folder / GRAPH, compress_to_fp16=False)
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_compression_does_not_hold_what_it_made(tmp_path: Path) -> None:
    small, large = _write_graph(tmp_path / "a", 2, 64), _write_graph(tmp_path / "b", 48, 1024)
    root = str(Path(nanoaccel.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, small, large, tmp_path],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    made = 48 * 1024 * 1024  # bytes
    assert int(done.stdout.split()[-1]) < made / 2


@pytest.mark.parametrize(("kind", "together"), [("mixtral", True), ("gpt_oss", False)])
def test_expected_memory_counts_experts_that_are_stored_one_by_one(
    tmp_path: Path, kind: str, together: bool
) -> None:
    from transformers import AutoConfig

    folder = write_model(tmp_path / "model", kind)
    config = AutoConfig.from_pretrained(folder)
    size = size_of(config)
    assert size.stacks
    many = replace(size, stacks=dict.fromkeys(size.stacks, 10**9))
    more = check_memory(resolve(str(folder)), config, many, Recipe(), available=10**12)
    less = check_memory(resolve(str(folder)), config, size, Recipe(), available=10**12)
    assert (more > less + 10**9) == together
