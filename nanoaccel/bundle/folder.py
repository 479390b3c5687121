"""A bundle's folder, opened."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from nanoaccel.bundle.adapters import AdapterFiles, adapters_of
from nanoaccel.bundle.attention import uniform_length
from nanoaccel.bundle.context import find_context_length
from nanoaccel.bundle.files import check_size, inside, read_text, sha256_of
from nanoaccel.bundle.graph_files import MODEL_CONFIG, weights_file, weights_files
from nanoaccel.bundle.manifest import MANIFEST, Manifest
from nanoaccel.errors import BundleDamagedError, BundleError
from nanoaccel.pulled import pulled_folder
from nanoaccel.registry import BACKENDS

DRAFT = "draft"
_PLAIN_GRAPH = "openvino_model.xml"
_BUILDERS_CONFIG = "genai_config.json"
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: checked, not loaded.

    Args:
        folder: Where it is.
        runtime: Name of the backend that it was made for; the first, where there are several.
        graph: The file of the graph for it.
        tokenizer_folder: Where tokenizer.json is.
        context_length: Tokens that the model can attend to.
        weight_group_size: Weights that share a scale; None when unknown or without groups.
        manifest: None for a plain folder.

    Examples:
        >>> from nanoaccel import Bundle
        >>> bundle = Bundle.open("bundle")
        >>> bundle.runtimes, bundle.context_length > 0
        (('openvino',), True)
    """

    folder: Path
    runtime: str
    graph: Path
    tokenizer_folder: Path
    context_length: int
    weight_group_size: int | None
    manifest: Manifest | None

    @staticmethod
    def is_one(folder: str | Path) -> bool:
        """Whether a folder was made to run, whole or damaged; a model to be exported was not.

        Examples:
            >>> from nanoaccel import Bundle
            >>> Bundle.is_one("bundle"), Bundle.is_one("nowhere")
            (True, False)
        """
        names = (MANIFEST, _PLAIN_GRAPH, _BUILDERS_CONFIG)
        return any((Path(folder) / name).is_file() for name in names)

    @classmethod
    def open(cls, folder: str | Path) -> Bundle:
        """Open a bundle, or a plain folder, and check that all files are there.

        A plain folder is one that optimum-intel exported, or the builder of onnxruntime-genai; or
        a Hugging Face model, which needs torch. The name of what was pulled stands for its folder.

        Raises:
            BundleError: It is neither, or a newer NanoAccel wrote it.
            BundleDamagedError: A file is missing or has another size.

        Examples:
            >>> from nanoaccel import Bundle
            >>> Bundle.open("bundle").tokenizer_folder.name
            'bundle'
        """
        folder = Path(folder)
        if not folder.is_dir():
            pulled = pulled_folder(folder.as_posix())
            folder = folder if pulled is None else pulled
        if not folder.is_dir():
            raise BundleError(f"{folder} is not a folder", f"Make it: {_export_command(folder)}")
        if (folder / MANIFEST).is_file():
            return cls._open_bundle(folder)
        if (folder / _PLAIN_GRAPH).is_file():
            return cls._open_plain(folder)
        if (folder / _BUILDERS_CONFIG).is_file():
            return cls._open_builders(folder)
        if _is_model(folder):
            return cls._open_model(folder)
        remedy = "Name a bundle's folder; nanoaccel export MODEL OUT makes one"
        if (folder.parent / MANIFEST).is_file():
            remedy = f"Name the bundle that it is part of: {folder.parent}"
        raise BundleError(
            f"{folder} holds none of {MANIFEST}, {_PLAIN_GRAPH} and {_BUILDERS_CONFIG}", remedy
        )

    @classmethod
    def _open_bundle(cls, folder: Path) -> Bundle:
        path = folder / MANIFEST
        manifest = Manifest.from_json(read_text(path), path)
        for entry in manifest.files:
            check_size(folder, entry)
        return cls(
            folder=folder,
            runtime=manifest.target.runtime,
            graph=inside(folder, manifest.target.graph),
            tokenizer_folder=folder,
            context_length=manifest.target.context_length,
            weight_group_size=manifest.target.weight_group_size,
            manifest=manifest,
        )

    @classmethod
    def _open_plain(cls, folder: Path) -> Bundle:
        graph = folder / _PLAIN_GRAPH
        context = _read_context(folder / MODEL_CONFIG)
        return cls(folder, "openvino", graph, folder, context, None, None)

    @classmethod
    def _open_model(cls, folder: Path) -> Bundle:
        config = folder / MODEL_CONFIG
        return cls(folder, "torch", config, folder, _read_context(config), None, None)

    @classmethod
    def _open_builders(cls, folder: Path) -> Bundle:
        path = folder / _BUILDERS_CONFIG
        try:
            model = json.loads(read_text(path))["model"]
            graph = inside(folder, model["decoder"]["filename"])
            context = int(model["context_length"])
        except (ValueError, KeyError, TypeError) as error:
            raise BundleDamagedError(
                f"{path} is not a config of onnxruntime-genai", "Build the model again"
            ) from error
        if not graph.is_file():
            raise BundleDamagedError(f"{graph} is missing", "Build the model again")
        return cls(folder, "onnx", graph, folder, context, None, None)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Names of the backends that it has a graph for, the preferred one first."""
        also = () if self.manifest is None else self.manifest.also
        return (self.runtime, *(entry.runtime for entry in also))

    def graph_for(self, runtime: str) -> Path:
        """The file of the graph for a backend; one that needs none of its own gets the first.

        Raises:
            BundleError: It has none.

        Examples:
            >>> from nanoaccel import Bundle
            >>> Bundle.open("bundle").graph_for("openvino").name
            'openvino_model.xml'
        """
        if runtime == self.runtime or BACKENDS.facts(runtime).graph is None:
            return self.graph
        for entry in () if self.manifest is None else self.manifest.also:
            if entry.runtime == runtime:
                return inside(self.folder, entry.graph)
        raise BundleError(
            f"{self.folder} has no graph for {runtime!r}, only for {', '.join(self.runtimes)}",
            f"Export the model again: nanoaccel export MODEL OUT --runtime {runtime}",
        )

    def weights_of(self, runtime: str) -> Path:
        """The file of the weights of the graph for a backend.

        Raises:
            BundleError: It has no such graph.

        Examples:
            >>> from nanoaccel import Bundle
            >>> Bundle.open("bundle").weights_of("openvino").name
            'openvino_model.bin'
        """
        return weights_file(self.graph_for(runtime))

    @property
    def draft(self) -> Path | None:
        """The folder of its draft, a bundle or a head; None when it has none."""
        folder = self.folder / DRAFT
        return folder if folder.is_dir() else None

    def adapters(self) -> dict[str, AdapterFiles]:
        """The adapters that it holds, by name.

        Examples:
            >>> from nanoaccel import Bundle
            >>> Bundle.open("bundle").adapters()
            {}
        """
        return {} if self.manifest is None else adapters_of(self.folder, self.manifest.files)

    @property
    def context_note(self) -> str:
        """Why the context is shorter than the model's own; empty when it is not."""
        config = self.graph.parent / MODEL_CONFIG
        try:
            found = json.loads(config.read_text(encoding="utf-8"))
            text = found.get("text_config") or found
            limits = [uniform_length(text, long_factors=told) for told in (False, True)]
        except (OSError, ValueError, AttributeError, TypeError):
            return ""
        notes = (limit[1] for limit in limits if limit and limit[0] == self.context_length)
        return next(notes, "")

    def fingerprint(self) -> str | None:
        """Names the weights that the graph was made from; None when its bundle does not say.

        Examples:
            >>> from nanoaccel import Bundle
            >>> bundle = Bundle.open("bundle")
            >>> bundle.fingerprint() == Bundle.open("bundle").fingerprint()
            True
        """
        return self.graph_key() if self.manifest is None else self.manifest.target.fingerprint

    def graph_key(self, runtime: str | None = None) -> str:
        """A name that no other graph has: a checksum of its structure and its weights.

        From the manifest where there is one; the files of a plain folder are read.

        Args:
            runtime: Name of one of its graphs; None is the first.

        Raises:
            BundleError: It has no such graph.

        Examples:
            >>> from nanoaccel import Bundle
            >>> len(Bundle.open("bundle").graph_key())
            64
        """
        graph = self.graph_for(self.runtime if runtime is None else runtime)
        known = {} if self.manifest is None else {e.path: e.sha256 for e in self.manifest.files}
        digest = hashlib.sha256()
        for path in (graph, *weights_files(graph)):
            name = path.relative_to(self.folder).as_posix()
            digest.update((known[name] if name in known else sha256_of(path)).encode())
        return digest.hexdigest()

    def stamp(self, runtime: str | None = None) -> str:
        """Names a graph's file as it is now, without reading it: path, size and time.

        Args:
            runtime: Name of one of its graphs; None is the first.

        Raises:
            BundleError: It has no such graph.

        Examples:
            >>> from nanoaccel import Bundle
            >>> bundle = Bundle.open("bundle")
            >>> bundle.stamp() == Bundle.open("bundle").stamp()
            True
        """
        return stamp_of(self.graph_for(self.runtime if runtime is None else runtime))

    def verify(self) -> None:
        """Check the sha256 of every file; reads them all.

        Raises:
            BundleDamagedError: A file was altered.

        Examples:
            >>> from nanoaccel import Bundle
            >>> Bundle.open("bundle").verify()
        """
        for entry in () if self.manifest is None else self.manifest.files:
            check_size(self.folder, entry)
            found = sha256_of(self.folder / entry.path)
            if found != entry.sha256:
                raise BundleDamagedError(
                    f"{self.folder / entry.path} was altered: sha256 {found[:12]}..., expected "
                    f"{entry.sha256[:12]}...",
                    "Copy the bundle again, or export it again",
                )


def _export_command(folder: Path) -> str:
    """What makes a bundle, with the name filled in where it is one of the hub."""
    name = folder.as_posix()
    if _HUB_ID.fullmatch(name) is None or folder.parent.is_dir():
        return "nanoaccel export MODEL OUT"
    return f"nanoaccel export {name} {folder.name}, and open {folder.name!r}"


def stamp_of(graph: Path) -> str:
    """Names a graph's file as it is now, without reading it: path, size and time."""
    found = [path.stat() for path in weights_files(graph)]
    return " ".join([str(graph.resolve()), *(f"{s.st_size} {s.st_mtime_ns}" for s in found)])


def _is_model(folder: Path) -> bool:
    """Whether a folder holds a Hugging Face model in safetensors."""
    try:
        config = json.loads((folder / MODEL_CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    named = isinstance(config, dict) and isinstance(config.get("model_type"), str)
    return named and bool(weights_files(folder / MODEL_CONFIG))


def _read_context(path: Path) -> int:
    """Tokens that a model can attend to, by its config.json, as far as all are computed alike."""
    try:
        config = json.loads(read_text(path))
        context, limit = find_context_length(config), uniform_length(config)
    except (ValueError, AttributeError) as error:
        raise BundleDamagedError(f"{path} is not JSON", "Export the model again") from error
    if context is None:
        raise BundleError(
            f"{path} does not say how long the context is", "Add max_position_embeddings"
        )
    return context if limit is None else min(context, limit[0])
