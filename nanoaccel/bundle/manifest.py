"""The manifest: what a bundle says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from nanoaccel.bundle.files import FileEntry, checked
from nanoaccel.bundle.schema import SchemaVersion, check_readable, without_newer
from nanoaccel.errors import BundleDamagedError

T = TypeVar("T")
MANIFEST = "nanoaccel.json"
# Since which version there are bundles with graphs for several runtimes, and bundles that say how
# they were checked. Others are written as the first version, which every NanoAccel reads.
_FIRST = SchemaVersion(1)
_SEVERAL_GRAPHS = SchemaVersion(2)
_SELF_CHECKED = SchemaVersion(3)


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
        content = {"schema_version": self._version.to_json(), **asdict(self)}
        for name in ("also", "self_check"):
            if not content[name]:
                del content[name]
        return json.dumps(content, indent=2) + "\n"

    @property
    def _version(self) -> SchemaVersion:
        """The lowest that knows all that it says."""
        if self.self_check:
            return _SELF_CHECKED
        return _SEVERAL_GRAPHS if self.also else _FIRST

    @classmethod
    def from_json(cls, text: str, where: Path) -> Manifest:
        """Read what ``to_json`` wrote.

        Raises:
            BundleError: It has a newer major schema version.
            BundleDamagedError: It is not a manifest.
        """
        try:
            content = json.loads(text)
            stated = content.pop("schema_version")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise BundleDamagedError(
                f"{where} is not a manifest", "Export the bundle again"
            ) from error
        version = SchemaVersion.of_json(stated, where)
        check_readable(version, where)

        def read(kind: type[T], entry: Mapping[str, Any]) -> T:
            return checked(kind, without_newer(kind, entry, version))

        try:
            content["target"] = read(ModelEntry, content["target"])
            content["files"] = tuple(read(FileEntry, entry) for entry in content["files"])
            content["also"] = tuple(read(GraphEntry, entry) for entry in content.get("also", ()))
            return read(cls, content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BundleDamagedError(
                f"{where} is not a manifest: {error}", "Export the bundle again"
            ) from error
