"""The folder of a head: a small graph that drafts tokens from what one certain target computes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nanoaccel.bundle.files import FileEntry, check_size, checked, inside, read_text
from nanoaccel.bundle.folder import stamp_of
from nanoaccel.errors import BundleDamagedError, BundleError

HEAD = "nanoaccel-head.json"
_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadGraph:
    """The head's graph for a further runtime; its weights are the same.

    Args:
        runtime: Name of the backend that runs it.
        graph: Path of the graph's file, relative to the folder.
    """

    runtime: str
    graph: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadManifest:
    """What stands in ``nanoaccel-head.json``.

    Args:
        runtime: Name of the backend that runs it; the preferred one, where there are several.
        graph: Path of the graph's file, relative to the folder.
        target: Fingerprint of the target that it was trained for.
        layers: Those of the target whose output it reads, from 0.
        feature_size: Numbers that it reads for each token, of all layers together.
        hidden_size: Numbers of its own state.
        vocabulary: The target's tokens that it can draft, in the order of its logits.
        weight_group_size: Weights that share a scale; None without groups.
        training: How it was made, and how often its draft tokens were accepted.
        files: All other files of the folder.
        also: Its graphs for further runtimes.
    """

    runtime: str
    graph: str
    target: str
    layers: tuple[int, ...]
    feature_size: int
    hidden_size: int
    vocabulary: tuple[int, ...]
    weight_group_size: int | None
    training: Mapping[str, object]
    files: tuple[FileEntry, ...] = field(default=())
    also: tuple[HeadGraph, ...] = field(default=())

    def to_json(self) -> str:
        """The text of ``nanoaccel-head.json``; a head of one graph is as it was before others."""
        content = {"schema_version": _SCHEMA_VERSION, **asdict(self)}
        if not self.also:
            del content["also"]
        return json.dumps(content) + "\n"


@dataclass(frozen=True, slots=True)
class Head:
    """An opened head: checked, not loaded.

    Args:
        folder: Where it is.
        graph: The file of its graph; of several, for the preferred runtime.
        manifest: What it is.
    """

    folder: Path
    graph: Path
    manifest: HeadManifest

    @classmethod
    def open(cls, folder: Path) -> Head:
        """Open a head, and check that all files are there.

        Raises:
            BundleDamagedError: A file is missing, has another size, or is no manifest.
        """
        path = folder / HEAD
        try:
            content = json.loads(read_text(path))
            if content.pop("schema_version") != _SCHEMA_VERSION:
                raise KeyError("schema_version")
            for name in ("layers", "vocabulary"):
                content[name] = tuple(map(int, content[name]))
            content["files"] = tuple(checked(FileEntry, entry) for entry in content["files"])
            also = content.get("also", ())
            content["also"] = tuple(checked(HeadGraph, entry) for entry in also)
            manifest = checked(HeadManifest, content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleDamagedError(
                f"{path} is not a head that this NanoAccel reads", "Train it again"
            ) from error
        for entry in manifest.files:
            check_size(folder, entry)
        return cls(folder, inside(folder, manifest.graph), manifest)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Names of the backends that it has a graph for, the preferred one first."""
        return (self.manifest.runtime, *(entry.runtime for entry in self.manifest.also))

    @property
    def weight_group_size(self) -> int | None:
        """Weights that share a scale; None without groups."""
        return self.manifest.weight_group_size

    def graph_for(self, runtime: str) -> Path:
        """The file of the graph for a backend.

        Raises:
            BundleError: It has none.
        """
        if runtime == self.manifest.runtime:
            return self.graph
        for entry in self.manifest.also:
            if entry.runtime == runtime:
                return inside(self.folder, entry.graph)
        raise BundleError(
            f"{self.folder} has no graph for {runtime!r}, only for {', '.join(self.runtimes)}",
            f"Export the model again, for --runtime {runtime}",
        )

    def stamp(self, runtime: str | None = None) -> str:
        """Names a graph's file as it is now, without reading it: path, size and time.

        Args:
            runtime: Name of one of its graphs; None is the first.

        Raises:
            BundleError: It has no such graph.
        """
        return stamp_of(self.graph if runtime is None else self.graph_for(runtime))
