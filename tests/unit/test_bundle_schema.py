"""Bundles of every schema that there was, and of those to come."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nanoaccel.bundle import MANIFEST, Bundle
from nanoaccel.bundle.schema import SCHEMA, SchemaVersion
from nanoaccel.errors import BundleDamagedError, BundleError

# As the NanoAccel of its time wrote each; the graphs are only bytes.
KEPT = Path(__file__).resolve().parents[1] / "data" / "bundles"
RUNTIMES = {
    "schema-1-first": ("openvino",),  # without a draft and a fingerprint
    "schema-1": ("openvino",),
    "schema-2": ("openvino", "onnx"),
    "schema-3": ("openvino", "onnx"),
}


@pytest.fixture
def newest(tmp_path: Path) -> Path:
    return Path(shutil.copytree(KEPT / "schema-3", tmp_path / "bundle"))


def edit(folder: Path, **changes: object) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_every_major_is_kept() -> None:
    assert {path.name for path in KEPT.iterdir()} == set(RUNTIMES)
    stated = [
        json.loads((KEPT / name / MANIFEST).read_text())["schema_version"] for name in RUNTIMES
    ]
    assert set(stated) == set(range(1, SCHEMA.major + 1))


@pytest.mark.parametrize("name", RUNTIMES)
def test_bundle_of_an_old_schema_opens(name: str) -> None:
    opened = Bundle.open(KEPT / name)
    opened.verify()
    assert opened.runtimes == RUNTIMES[name]
    manifest = opened.manifest
    assert manifest is not None
    assert manifest.target.context_length == 128
    assert manifest.validation["kl"] == 0.25
    assert (manifest.target.fingerprint is None) == (name == "schema-1-first")


@pytest.mark.parametrize("name", [name for name in RUNTIMES if name != "schema-1-first"])
def test_manifest_is_written_as_it_was(name: str) -> None:
    manifest = Bundle.open(KEPT / name).manifest
    assert manifest is not None
    assert manifest.to_json() == (KEPT / name / MANIFEST).read_text()


def test_newer_minor_opens_with_what_is_known(newest: Path) -> None:
    content = json.loads((newest / MANIFEST).read_text())
    old = Bundle.open(newest).manifest
    for entry in (content["target"], content["also"][0], *content["files"]):
        entry["later"] = [1]
    content |= {"later": {"a": 1}, "schema_version": f"{SCHEMA.major}.{SCHEMA.minor + 1}"}
    (newest / MANIFEST).write_text(json.dumps(content))
    assert Bundle.open(newest).manifest == old


def test_newer_minor_must_have_what_the_major_has(newest: Path) -> None:
    edit(newest, target={"later": 1}, schema_version=f"{SCHEMA.major}.{SCHEMA.minor + 1}")
    with pytest.raises(BundleDamagedError, match=r"is not a manifest: .*missing"):
        Bundle.open(newest)


def test_unknown_field_of_a_known_schema_is_damage(newest: Path) -> None:
    edit(newest, later=1)
    with pytest.raises(BundleDamagedError, match="'later'"):
        Bundle.open(newest)


@pytest.mark.parametrize("version", [SCHEMA.major + 1, f"{SCHEMA.major + 1}.2"])
def test_newer_major_is_refused_by_name(newest: Path, version: object) -> None:
    edit(newest, schema_version=version)
    with pytest.raises(
        BundleError, match=rf"{SCHEMA.major + 1}\.\d; .* up to {SCHEMA.major}\.x"
    ) as it:
        Bundle.open(newest)
    assert "pip install --upgrade nanoaccel" in str(it.value)


@pytest.mark.parametrize(
    "version", [0, -1, True, 1.5, None, "3", "3.", ".1", "03.1", "3.1.0", "3.x", "\u0663.1", [3]]
)
def test_no_version_is_damage(newest: Path, version: object) -> None:
    edit(newest, schema_version=version)
    with pytest.raises(BundleDamagedError, match="has schema version"):
        Bundle.open(newest)


@pytest.mark.parametrize("version", [SchemaVersion(2), SchemaVersion(2, 1)])
def test_version_reads_what_it_writes(version: SchemaVersion) -> None:
    assert SchemaVersion.of_json(version.to_json(), Path()) == version
