"""The manifest: what a bundle says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nanoaccel.bundle.files import FileEntry, checked
from nanoaccel.errors import BundleDamagedError, BundleError

MANIFEST = "nanoaccel.json"
SCHEMA_VERSION = 3
# Since which version there are bundles with graphs for several runtimes, and bundles that say how
# they were checked. Others are written as version 1, which every NanoAccel reads.
_SEVERAL_GRAPHS = 2
_SELF_CHECKED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A graph of the bundle.

    Args:
        runtime: Name of the backend that runs it.
        graph: Path of the graph's file, relative to the bundle.
        architecture: As in the model's config.json ("llama").
        context_length: Tokens that it can attend to.
        parameters: Number of weights of the original model.
        weight_group_size: Weights that share a scale; None without groups.
        fingerprint: Names the original weights, whatever they were compressed to; None in bundles
            from before there was one.
    """

    runtime: str
    graph: str
    architecture: str
    context_length: int
    parameters: int
    weight_group_size: int | None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphEntry:
    """The target's graph for a further runtime; the model and its weights are the same.

    Args:
        runtime: Name of the backend that runs it.
        graph: Path of the graph's file, relative to the bundle.
        validation: What was measured on it.
    """

    runtime: str
    graph: str
    validation: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What stands in ``nanoaccel.json``.

    Args:
        target: The model.
        source: Where it came from: id and revision.
        recipe: How its weights were compressed.
        tools: Name and version of all that took part in the export.
        validation: What was measured on the exported graph.
        files: All other files of the bundle.
        draft: What was chosen as its draft, and the reason; empty before there were drafts.
        also: The target's graphs for further runtimes.
        self_check: By runtime, what its engine gave beside what is right; empty in bundles from
            before there was a check.
    """

    target: ModelEntry
    source: Mapping[str, str | None]
    recipe: Mapping[str, object]
    tools: Mapping[str, str]
    validation: Mapping[str, float]
    files: tuple[FileEntry, ...] = field(default=())
    draft: Mapping[str, str] = field(default_factory=dict)
    also: tuple[GraphEntry, ...] = field(default=())
    self_check: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def to_json(self) -> str:
        """The text of ``nanoaccel.json``."""
        content = {"schema_version": self._version, **asdict(self)}
        for name in ("also", "self_check"):
            if not content[name]:
                del content[name]
        return json.dumps(content, indent=2) + "\n"

    @property
    def _version(self) -> int:
        """The lowest that knows all that it says."""
        if self.self_check:
            return _SELF_CHECKED
        return _SEVERAL_GRAPHS if self.also else 1

    @classmethod
    def from_json(cls, text: str, where: Path) -> Manifest:
        """Read what ``to_json`` wrote.

        Raises:
            BundleError: It was written by a newer NanoAccel.
            BundleDamagedError: It is not a manifest.
        """
        try:
            content = json.loads(text)
            version = content.pop("schema_version")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise BundleDamagedError(
                f"{where} is not a manifest", "Export the bundle again"
            ) from error
        if type(version) is not int or version < 1:
            raise BundleDamagedError(
                f"{where} has schema version {version!r}", "Export the bundle again"
            )
        if version > SCHEMA_VERSION:
            raise BundleError(
                f"{where} has schema version {version}; this NanoAccel reads up to "
                f"{SCHEMA_VERSION}",
                "Upgrade NanoAccel, or export the bundle again with this version",
            )
        try:
            content["target"] = checked(ModelEntry, content["target"])
            content["files"] = tuple(checked(FileEntry, entry) for entry in content["files"])
            also = content.get("also", ())
            content["also"] = tuple(checked(GraphEntry, entry) for entry in also)
            return checked(cls, content)
        except (KeyError, TypeError) as error:
            raise BundleDamagedError(
                f"{where} is not a manifest: {error}", "Export the bundle again"
            ) from error
