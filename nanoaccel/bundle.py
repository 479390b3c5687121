"""The bundle: one folder that holds all that a model needs to run, and says what it is.

    bundle/
      nanoaccel.json          the manifest: what follows, with size and sha256 of every file
      openvino/               the graph, config.json, and what OpenVINO GenAI needs to open it
      tokenizer.json ...      tokenizer, chat template, generation defaults

It is the only contract between the exporters and the runtime. Opening one runs no code from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from nanoaccel.errors import BundleDamagedError, BundleError

MANIFEST = "nanoaccel.json"
SCHEMA_VERSION = 1
_PLAIN_GRAPH = "openvino_model.xml"
_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")
_TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "int | None": (int, type(None)),
    "ModelEntry": object,
    "tuple[FileEntry, ...]": tuple,
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A file of the bundle: path with forward slashes, relative to it; bytes; checksum."""

    path: str
    size: int
    sha256: str


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
    """

    runtime: str
    graph: str
    architecture: str
    context_length: int
    parameters: int
    weight_group_size: int | None


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
    """

    target: ModelEntry
    source: Mapping[str, str | None]
    recipe: Mapping[str, object]
    tools: Mapping[str, str]
    validation: Mapping[str, float]
    files: tuple[FileEntry, ...] = field(default=())

    def to_json(self) -> str:
        """The text of ``nanoaccel.json``."""
        return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)}, indent=2) + "\n"

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
            content["target"] = _checked(ModelEntry, content["target"])
            content["files"] = tuple(_checked(FileEntry, entry) for entry in content["files"])
            return _checked(cls, content)
        except (KeyError, TypeError) as error:
            raise BundleDamagedError(
                f"{where} is not a manifest: {error}", "Export the bundle again"
            ) from error


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: checked, not loaded.

    Args:
        folder: Where it is.
        runtime: Name of the backend that it was made for.
        graph: The file of the graph.
        tokenizer_folder: Where tokenizer.json is.
        context_length: Tokens that the model can attend to.
        weight_group_size: Weights that share a scale; None when unknown or without groups.
        manifest: None for a plain folder that optimum-intel exported.
    """

    folder: Path
    runtime: str
    graph: Path
    tokenizer_folder: Path
    context_length: int
    weight_group_size: int | None
    manifest: Manifest | None

    @classmethod
    def open(cls, folder: str | Path) -> Bundle:
        """Open a bundle, or a plain optimum-intel folder, and check that all files are there.

        Raises:
            BundleError: It is neither, or a newer NanoAccel wrote it.
            BundleDamagedError: A file is missing or has another size.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise BundleError(f"{folder} is not a folder", "Make it: nanoaccel export MODEL OUT")
        if (folder / MANIFEST).is_file():
            return cls._open_bundle(folder)
        if (folder / _PLAIN_GRAPH).is_file():
            return cls._open_plain(folder)
        raise BundleError(
            f"{folder} holds neither {MANIFEST} nor {_PLAIN_GRAPH}",
            f"Make a bundle: nanoaccel export {folder} OUT",
        )

    @classmethod
    def _open_bundle(cls, folder: Path) -> Bundle:
        path = folder / MANIFEST
        manifest = Manifest.from_json(_read_text(path), path)
        for entry in manifest.files:
            _check_size(folder, entry)
        return cls(
            folder=folder,
            runtime=manifest.target.runtime,
            graph=_inside(folder, manifest.target.graph),
            tokenizer_folder=folder,
            context_length=manifest.target.context_length,
            weight_group_size=manifest.target.weight_group_size,
            manifest=manifest,
        )

    @classmethod
    def _open_plain(cls, folder: Path) -> Bundle:
        path = folder / "config.json"
        try:
            config = json.loads(_read_text(path))
            context = find_context_length(config)
        except (ValueError, AttributeError) as error:
            raise BundleDamagedError(f"{path} is not JSON", "Export the model again") from error
        if context is None:
            raise BundleError(
                f"{path} does not say how long the context is", "Add max_position_embeddings"
            )
        graph = folder / _PLAIN_GRAPH
        return cls(folder, "openvino", graph, folder, context, None, None)

    def graph_key(self) -> str:
        """A name that no other graph has: a checksum of its structure and its weights.

        From the manifest where there is one; the files of a plain folder are read.
        """
        beside = [self.graph, self.graph.with_suffix(".bin")]
        known = {} if self.manifest is None else {e.path: e.sha256 for e in self.manifest.files}
        digest = hashlib.sha256()
        for path in beside:
            name = path.relative_to(self.folder).as_posix()
            digest.update((known[name] if name in known else sha256_of(path)).encode())
        return digest.hexdigest()

    def stamp(self) -> str:
        """Names the graph's file as it is now, without reading it: place, size and time."""
        file = self.graph.with_suffix(".bin")
        found = (file if file.is_file() else self.graph).stat()
        return f"{self.graph.resolve()} {found.st_size} {found.st_mtime_ns}"

    def verify(self) -> None:
        """Check the sha256 of every file; reads them all.

        Raises:
            BundleDamagedError: A file was altered.
        """
        for entry in () if self.manifest is None else self.manifest.files:
            _check_size(self.folder, entry)
            found = sha256_of(self.folder / entry.path)
            if found != entry.sha256:
                raise BundleDamagedError(
                    f"{self.folder / entry.path} was altered: sha256 {found[:12]}..., expected "
                    f"{entry.sha256[:12]}...",
                    "Copy the bundle again, or export it again",
                )


def find_context_length(config: Mapping[str, Any]) -> int | None:
    """Tokens that a model can attend to, by its config.json; None when that does not say."""
    found = (config.get(name) for name in _CONTEXT_KEYS)
    return next((value for value in found if isinstance(value, int)), None)


def list_files(folder: Path) -> tuple[FileEntry, ...]:
    """Size and checksum of every file below a folder, in order of their paths."""
    return tuple(
        FileEntry(
            path=path.relative_to(folder).as_posix(),
            size=path.stat().st_size,
            sha256=sha256_of(path),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )


def sha256_of(path: Path) -> str:
    """Checksum of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _checked(kind: type[T], content: Mapping[str, Any]) -> T:
    """Make a dataclass of JSON; TypeError when a key is missing, unknown or of another type."""
    made = kind(**content)
    for entry in fields(made):  # type: ignore[arg-type]
        expected = _TYPES.get(str(entry.type), dict)
        value = getattr(made, entry.name)
        if not isinstance(value, expected) or isinstance(value, bool):
            raise TypeError(f"{entry.name} is {value!r}")
    return made


def _check_size(folder: Path, entry: FileEntry) -> None:
    path = _inside(folder, entry.path)
    found = path.stat().st_size if path.is_file() else None
    if found is None:
        raise BundleDamagedError(f"{path} is missing", "Copy the bundle again")
    if found != entry.size:
        raise BundleDamagedError(
            f"{path} has {found} bytes, expected {entry.size}", "Copy the bundle again"
        )


def _inside(folder: Path, relative: str) -> Path:
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts:
        raise BundleDamagedError(
            f"{folder / MANIFEST} names {relative!r}, outside the bundle", "Do not trust it"
        )
    return folder / path


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleDamagedError(f"{path} cannot be read: {error}", "Copy it again") from error
