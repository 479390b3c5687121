from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nanoaccel.bundle import MANIFEST, Bundle, GraphEntry, Manifest, ModelEntry, list_files
from nanoaccel.errors import BundleDamagedError, BundleError

Change = Callable[[Path], None]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "openvino").mkdir(parents=True)
    (folder / "openvino" / "openvino_model.xml").write_text("<net/>")
    (folder / "openvino" / "openvino_model.bin").write_bytes(bytes(1000))
    (folder / "tokenizer.json").write_text("{}")
    manifest = Manifest(
        target=ModelEntry(
            runtime="openvino",
            graph="openvino/openvino_model.xml",
            architecture="llama",
            context_length=128,
            parameters=1000,
            weight_group_size=64,
        ),
        source={"id": "org/name", "revision": None},
        recipe={"weights": "int4"},
        tools={"nanoaccel": "0"},
        validation={"kl": 0.1},
        files=list_files(folder),
    )
    (folder / MANIFEST).write_text(manifest.to_json())
    return folder


def edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_bundle_opens_with_what_the_manifest_says(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    assert opened.graph == bundle / "openvino" / "openvino_model.xml"
    assert (opened.runtime, opened.context_length, opened.weight_group_size) == (
        "openvino",
        128,
        64,
    )
    assert opened.manifest is not None
    assert opened.manifest.source["id"] == "org/name"
    opened.verify()


def test_bundle_manifest_lists_files_with_forward_slashes(bundle: Path) -> None:
    manifest = Bundle.open(bundle).manifest
    assert manifest is not None
    assert [entry.path for entry in manifest.files] == [
        "openvino/openvino_model.bin",
        "openvino/openvino_model.xml",
        "tokenizer.json",
    ]


def test_bundle_verify_notices_an_altered_byte(bundle: Path) -> None:
    weights = bundle / "openvino" / "openvino_model.bin"
    weights.write_bytes(bytes(999) + b"x")
    with pytest.raises(BundleDamagedError, match=r"openvino_model\.bin was altered: sha256"):
        Bundle.open(bundle).verify()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
        (
            lambda folder: (folder / "openvino" / "openvino_model.bin").write_bytes(b"short"),
            "has 5 bytes, expected 1000",
        ),
        (lambda folder: (folder / MANIFEST).write_text("{"), "is not a manifest"),
        (lambda folder: (folder / MANIFEST).write_text("[]"), "is not a manifest"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"\xff\xfe"), "cannot be read"),
        (lambda folder: edit_manifest(folder, target={}), "is not a manifest: .*missing"),
        (lambda folder: edit_manifest(folder, target="x"), "is not a manifest"),
        (lambda folder: edit_manifest(folder, recipe=5), "recipe is 5"),
        (lambda folder: edit_manifest(folder, schema_version=True), "schema version True"),
        (lambda folder: edit_manifest(folder, extra=1), "unexpected keyword argument 'extra'"),
        (lambda folder: edit_manifest(folder, files=[{"path": "x"}]), "is not a manifest"),
        (
            lambda folder: edit_manifest(folder, files=[{"path": "../x", "size": 1, "sha256": ""}]),
            "outside the bundle",
        ),
    ],
)
def test_bundle_damage_is_refused_by_name(bundle: Path, change: Change, message: str) -> None:
    change(bundle)
    with pytest.raises(BundleDamagedError, match=message):
        Bundle.open(bundle)


def test_bundle_with_one_graph_is_of_the_first_schema(bundle: Path) -> None:
    content = json.loads((bundle / MANIFEST).read_text())
    assert content["schema_version"] == 1
    assert "also" not in content
    assert Bundle.open(bundle).runtimes == ("openvino",)


def test_bundle_gives_the_graph_of_each_runtime(bundle: Path) -> None:
    (bundle / "onnx").mkdir()
    (bundle / "onnx" / "model.onnx").write_text("graph")
    (bundle / "onnx" / "model.onnx.data").write_bytes(bytes(900))
    old = Manifest.from_json((bundle / MANIFEST).read_text(), bundle)
    (bundle / MANIFEST).unlink()
    entry = GraphEntry(runtime="onnx", graph="onnx/model.onnx", validation={"kl": 0.2})
    new = replace(old, also=(entry,), files=list_files(bundle))
    (bundle / MANIFEST).write_text(new.to_json())
    assert json.loads(new.to_json())["schema_version"] == 2
    opened = Bundle.open(bundle)
    opened.verify()
    assert opened.manifest == new
    assert opened.runtimes == ("openvino", "onnx")
    assert opened.graph_for("openvino") == opened.graph
    assert opened.graph_for("onnx") == bundle / "onnx" / "model.onnx"
    assert opened.weights_of("onnx").stat().st_size == 900
    assert opened.graph_key("openvino") == opened.graph_key() != opened.graph_key("onnx")
    assert opened.stamp("openvino") == opened.stamp() != opened.stamp("onnx")
    assert opened.graph_for("a plugged-in one") == opened.graph
    with pytest.raises(BundleError, match="no graph for 'onnx', only for openvino"):
        replace(opened, manifest=old).graph_for("onnx")
    edit_manifest(bundle, also=[{"runtime": "onnx"}])
    with pytest.raises(BundleDamagedError, match="is not a manifest"):
        Bundle.open(bundle)


def test_bundle_plain_folder_of_optimum_opens(tmp_path: Path) -> None:
    (tmp_path / "openvino_model.xml").write_text("<net/>")
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 64}')
    opened = Bundle.open(tmp_path)
    assert (opened.runtime, opened.context_length, opened.manifest) == ("openvino", 64, None)
    opened.verify()


@pytest.mark.parametrize(
    ("config", "message"),
    [("{}", "how long the context is"), ("{", "is not JSON"), ("[]", "is not JSON")],
)
def test_bundle_plain_folder_without_context_is_refused(
    tmp_path: Path, config: str, message: str
) -> None:
    (tmp_path / "openvino_model.xml").write_text("<net/>")
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(BundleError, match=message):
        Bundle.open(tmp_path)


def test_bundle_other_folders_are_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nanoaccel export"):
        Bundle.open(tmp_path)
    with pytest.raises(BundleError, match="is not a folder"):
        Bundle.open(tmp_path / "absent")
