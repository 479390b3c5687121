"""Folders of heads whose graph is only bytes."""

from __future__ import annotations

from pathlib import Path

from nanoaccel.bundle import HEAD, HeadManifest, list_files


def write_head(folder: Path, target: str = "weights", size: int = 1000) -> Path:
    """A whole head for the target with this fingerprint."""
    folder.mkdir(parents=True)
    (folder / "head.xml").write_text("<net/>")
    (folder / "head.bin").write_bytes(bytes(size))
    describe_head(folder, target)
    return folder


def describe_head(folder: Path, target: str = "weights") -> None:
    """Write the manifest of a head whose graph is in a folder."""
    manifest = HeadManifest(
        runtime="openvino",
        graph="head.xml",
        target=target,
        layers=(0, 2),
        feature_size=128,
        hidden_size=64,
        vocabulary=(0, 3, 4),
        weight_group_size=64,
        training={"survival": [0.5, 0.25]},
        files=list_files(folder),
    )
    (folder / HEAD).write_text(manifest.to_json())
