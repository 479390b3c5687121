"""Where models are found: the sample, this disk, the hub, and what plugins know."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from nanoaccel.errors import SourceError
from nanoaccel.exporters.source.hub.wanted import SKIPPED, SMALL_FILES, WEIGHTS
from nanoaccel.exporters.source.model_folder import check_description
from nanoaccel.exporters.source.sample import SAMPLE, fetch_sample
from nanoaccel.pulled import find_pulled
from nanoaccel.registry import MODEL_SOURCES

HUB_ID = re.compile(r"^[\w.-]+(/[\w.-]+)?(@[\w./-]+)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A model that was brought onto this disk; what is in it is checked later.

    Args:
        path: A folder with config.json, the weights and the tokenizer, or a .gguf file.
        revision: Commit or version of it; None where there is none.
        id: Its name in reports; None is what the user wrote.
        package: The package whose plugin found it; ``locate`` sets it.
    """

    path: Path
    revision: str | None = None
    id: str | None = None
    package: str | None = None


class ModelSource(Protocol):
    """What is registered under the name of a source of models: a function."""

    def __call__(self, reference: str) -> FoundModel:
        """Find a model, and bring it onto this disk; the same reference gives the same model.

        It is called once for each use, so what was downloaded should be kept.

        Args:
            reference: What the user wrote behind the name and a colon.

        Raises:
            SourceError: There is no such model; the words are shown to the user.
        """
        ...


def locate(model: str) -> FoundModel:
    """Find what a user named.

    Args:
        model: A path, ``sample``, NAME:REFERENCE of a plugin, or a hub id.

    Raises:
        SourceError: It is none of these.
        PluginError: A plugin of that name cannot be used, or failed.
    """
    name, reference = _named(model)
    with MODEL_SOURCES.named(name):
        found = MODEL_SOURCES.resolve(name)(reference)
        if not isinstance(found, FoundModel) or not isinstance(found.path, Path):
            raise TypeError(f"it gave {found!r:.80}, no FoundModel with a path")
        if not found.path.exists():
            raise FileNotFoundError(f"it names {found.path}, which does not exist")
    return replace(found, package=MODEL_SOURCES.package_of(name))


def find_sample(reference: str) -> FoundModel:
    """The sample model; see ``ModelSource``."""
    if reference:
        raise SourceError(f"the sample has no part {reference!r}", f"Write {SAMPLE} alone")
    return FoundModel(path=fetch_sample(), id=SAMPLE)


def find_path(reference: str) -> FoundModel:
    """A folder or file on this disk; see ``ModelSource``."""
    path = Path(reference).expanduser()
    if not path.exists():
        raise _absent(reference)
    return FoundModel(path=path, id=reference)


def find_on_hub(reference: str) -> FoundModel:
    """A model of the hub, pulled before or downloaded now; see ``ModelSource``."""
    pulled = find_pulled(reference)
    if pulled is None:
        return _download(reference)
    ggufs = sorted(pulled.folder.glob("*.gguf"))
    one_file = bool(ggufs) and not (pulled.folder / "config.json").is_file()
    path = ggufs[0] if one_file else pulled.folder
    return FoundModel(path=path, revision=pulled.commit, id=pulled.id)


def _named(model: str) -> tuple[str, str]:
    """The name of a source, and what it is told; paths and models of the hub need no name."""
    path = Path(model).expanduser()
    if path.exists():
        return "file", model
    name, colon, reference = model.partition(":")
    known = colon and name in MODEL_SOURCES.names()
    if model == SAMPLE or known or MODEL_SOURCES.plugins_named(name):
        return name, reference
    if find_pulled(model) is not None:
        return "hub", model
    if path.suffix == ".gguf" or path.is_absolute() or not HUB_ID.match(model):
        raise _absent(model)
    return "hub", model


def _absent(model: str) -> SourceError:
    names = [name for name in MODEL_SOURCES.names() if MODEL_SOURCES.is_plugin(name)]
    plugged = "".join(f", {name}:..." for name in names)
    return SourceError(
        f"{model} does not exist", f"Name a hub id, a folder or a .gguf file{plugged}"
    )


def _download(model: str) -> FoundModel:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    name, _, revision = model.partition("@")
    try:
        for weights in (None, *WEIGHTS):
            folder = Path(
                snapshot_download(
                    name,
                    revision=revision or None,
                    allow_patterns=[*SMALL_FILES, *([] if weights is None else [weights])],
                    ignore_patterns=list(SKIPPED),
                )
            )
            if weights is None:
                check_description(folder)  # before gigabytes are fetched
            elif any(folder.glob(weights)):
                break
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SourceError(
            f"{model} is no local path, and the hub did not give it: {line}",
            "Check the name, log in with 'hf auth login' if it is gated, or download it first",
        ) from error
    return FoundModel(path=folder, revision=folder.name, id=model)
