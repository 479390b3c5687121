"""Adapters inside a bundle: listed, checked, and put in or taken out as a whole."""

from __future__ import annotations

import errno
import hashlib
import shutil
from pathlib import Path

import pytest
from support.adapters import note_base, write_adapter
from support.paper import write_paper_bundle

from nanoaccel.bundle import Bundle, adapters
from nanoaccel.bundle.adapters import drop_adapter, put_adapter
from nanoaccel.bundle.in_use import hold
from nanoaccel.errors import BundleDamagedError, BundleError, ConfigError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_paper_bundle(tmp_path / "bundle")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = write_adapter(tmp_path / "adapter")
    (folder / "README.md").write_text("of no use here")
    return folder


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def state(bundle: Path) -> dict[str, bytes]:
    files = (path for path in bundle.rglob("*") if path.is_file())
    return {path.relative_to(bundle).as_posix(): path.read_bytes() for path in files}


def test_bundle_lists_what_was_put_in_and_checks_it(bundle: Path, adapter: Path) -> None:
    note_base(adapter, "org/model", "aa")
    put_adapter(bundle, "mine", adapter)
    opened = Bundle.open(bundle)
    assert list(opened.adapters()) == ["mine"]
    files = opened.adapters()["mine"]
    assert files.folder == bundle / "adapters" / "mine"
    names = ["adapter_config.json", "adapter_model.safetensors", "nanoaccel_adapter.json"]
    assert sorted(path.name for path in files.folder.iterdir()) == names
    assert files.size == sum(path.stat().st_size for path in files.folder.iterdir())
    assert files.config_sha256 == sha256(files.folder / "adapter_config.json")
    assert files.weights_sha256 == sha256(files.folder / "adapter_model.safetensors")
    opened.verify()
    weights = files.folder / names[1]
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleDamagedError, match=r"adapter_model\.safetensors was altered"):
        Bundle.open(bundle).verify()
    weights.write_bytes(b"")
    with pytest.raises(BundleDamagedError, match="has 0 bytes, expected"):
        Bundle.open(bundle)


def test_bundle_is_as_before_when_an_adapter_is_taken_out(bundle: Path, adapter: Path) -> None:
    before = state(bundle)
    put_adapter(bundle, "a", adapter)
    put_adapter(bundle, "b", adapter)
    drop_adapter(bundle, "a")
    assert list(Bundle.open(bundle).adapters()) == ["b"]
    drop_adapter(bundle, "b")
    assert state(bundle) == before


def test_bundle_refuses_names_that_are_taken_or_unknown(bundle: Path, adapter: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no adapter 'mine'\. It has none"):
        drop_adapter(bundle, "mine")
    put_adapter(bundle, "mine", adapter)
    with pytest.raises(ConfigError, match="has an adapter 'mine' already"):
        put_adapter(bundle, "mine", adapter)
    with pytest.raises(ConfigError, match="Did you mean 'mine'"):
        drop_adapter(bundle, "mime")


def test_bundle_in_use_is_left_alone(bundle: Path, adapter: Path) -> None:
    before = state(bundle)
    held = hold(bundle)
    assert held is not None
    with held, pytest.raises(BundleError, match="is in use"):
        put_adapter(bundle, "mine", adapter)
    assert state(bundle) == before


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path, adapter: Path) -> None:
    with pytest.raises(BundleError, match="is no NanoAccel bundle"):
        put_adapter(tmp_path, "mine", adapter)


def test_a_full_disk_leaves_a_bundle_that_opens(
    bundle: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copyfile

    def fail(source: Path, target: Path) -> None:
        if source.name.endswith("safetensors"):
            target.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        copy(source, target)

    monkeypatch.setattr(adapters.shutil, "copyfile", fail)
    with pytest.raises(BundleError, match="No space left on device"):
        put_adapter(bundle, "mine", adapter)
    assert Bundle.open(bundle).adapters() == {}
    monkeypatch.undo()
    put_adapter(bundle, "mine", adapter)
    Bundle.open(bundle).verify()
