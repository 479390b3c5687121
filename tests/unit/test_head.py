from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.heads import write_head

from nanoaccel.bundle import HEAD, Head
from nanoaccel.errors import BundleDamagedError, BundleError

Change = Callable[[Path], None]


def edited(**changes: object) -> Change:
    def change(folder: Path) -> None:
        path = folder / HEAD
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def test_head_opens_with_what_its_manifest_says(tmp_path: Path) -> None:
    folder = write_head(tmp_path / "head")
    head = Head.open(folder)
    assert head.graph == folder / "head.xml"
    assert head.manifest.layers == (0, 2)
    assert head.manifest.vocabulary == (0, 3, 4)
    assert head.manifest.training["survival"] == [0.5, 0.25]


def test_head_has_graphs_for_several_runtimes(tmp_path: Path) -> None:
    folder = write_head(tmp_path / "head")
    plain = Head.open(folder)
    assert plain.runtimes == ("openvino",)
    assert "also" not in json.loads(plain.manifest.to_json())
    edited(also=[{"runtime": "onnx", "graph": "head.onnx"}])(folder)
    head = Head.open(folder)
    assert head.runtimes == ("openvino", "onnx")
    assert head.graph_for("openvino") == head.graph
    assert head.graph_for("onnx") == folder / "head.onnx"
    assert head.stamp() == head.stamp("openvino") == plain.stamp()
    with pytest.raises(BundleError, match="has no graph for 'other', only for openvino, onnx"):
        head.graph_for("other")
    (folder / HEAD).write_text(head.manifest.to_json())
    assert Head.open(folder) == head


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "head.bin").unlink(), "head.bin is missing"),
        (lambda folder: (folder / "head.bin").write_bytes(b"1"), "has 1 bytes, expected 1000"),
        (lambda folder: (folder / HEAD).unlink(), "cannot be read"),
        (lambda folder: (folder / HEAD).write_text("{"), "is not a head that this NanoAccel reads"),
        (lambda folder: (folder / HEAD).write_text("[]"), "is not a head"),
        (edited(schema_version=2), "is not a head"),
        (edited(layers=["a"]), "is not a head"),
        (edited(vocabulary=None), "is not a head"),
        (edited(feature_size="128"), "is not a head"),
        (edited(surprise=1), "is not a head"),
        (edited(also=[{"runtime": "onnx"}]), "is not a head"),
        (edited(graph="../head.xml"), "outside the bundle"),
    ],
)
def test_head_that_is_damaged_is_refused(tmp_path: Path, change: Change, message: str) -> None:
    folder = write_head(tmp_path / "head")
    change(folder)
    with pytest.raises(BundleDamagedError, match=message):
        Head.open(folder)
