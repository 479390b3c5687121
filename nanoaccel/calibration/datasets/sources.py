"""Where text comes from: a name becomes a stream of documents."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from nanoaccel.calibration.datasets.files import is_text_name, read_path
from nanoaccel.calibration.datasets.hub import HubReference, read_hub
from nanoaccel.calibration.datasets.options import DOCS, SELF
from nanoaccel.calibration.datasets.rows import Document
from nanoaccel.errors import ConfigError, SourceError
from nanoaccel.registry import CALIBRATION_SOURCES


@dataclass(frozen=True, slots=True)
class TextSource:
    """Documents, read as they are asked for.

    Args:
        name: What the text is, for a report.
        documents: Read once.
        streamed: Whether reading costs a download, and only as much is read as is needed.
    """

    name: str
    documents: Iterator[Document]
    streamed: bool = False


class CalibrationSource(Protocol):
    """What is registered under the name of a source of text: a function."""

    def __call__(self, reference: str, column: str | None) -> TextSource:
        """Find text; it may be called before the text is wanted, so it should be quick.

        Args:
            reference: What the user wrote behind the name and a colon; empty where that is all.
            column: Column of its rows that the user named; None leaves it to the source.

        Raises:
            ConfigError: A value is wrong; the words are shown to the user.
            SourceError: There is no such text.
        """
        ...


def open_source(source: str, column: str | None = None) -> TextSource:
    """Find text; nothing is read yet.

    Args:
        source: ``docs``, a file, a folder, a data set on the hub, or NAME or NAME:REFERENCE of a
            plugin.
        column: Column of its rows; None finds one.

    Raises:
        ConfigError: The name stands for nothing, or for text that is not written yet (``self``).
        SourceError: There is no such file.
        PluginError: A plugin of that name cannot be used, or failed.
    """
    name, reference = _named(source)
    with CALIBRATION_SOURCES.named(name):
        found = CALIBRATION_SOURCES.resolve(name)(reference, column)
        if not isinstance(found, TextSource):
            raise TypeError(f"it gave {found!r:.80}, no TextSource")
    package = CALIBRATION_SOURCES.package_of(name)
    if package is None:
        return found
    told = f"{found.name} ({name} of {package})"
    return replace(found, name=told, documents=_checked(name, found.documents))


def source_name(source: str) -> str:
    """The name of the point's part that a source is opened by: "docs", "file", a plugin's ..."""
    return _named(source)[0]


def open_docs(reference: str, column: str | None) -> TextSource:
    """Python's language reference; see ``CalibrationSource``."""
    if reference or column is not None:
        raise ConfigError(f"the text {DOCS!r} has no parts to choose", f"Write {DOCS} alone")
    version = ".".join(platform.python_version_tuple()[:2])
    name = f"Python's language reference (pydoc topics, CPython {version})"
    return TextSource(name, _language_reference())


def open_own_text(reference: str, column: str | None) -> TextSource:  # noqa: ARG001
    """What the model itself writes, which is written elsewhere; see ``CalibrationSource``."""
    raise ConfigError(f"the text {SELF!r} needs a model that writes it", "Name another text")


def open_file(reference: str, column: str | None) -> TextSource:
    """A file or folder; see ``CalibrationSource``."""
    path = Path(reference).expanduser()
    if not path.exists():
        raise SourceError(f"{reference} does not exist", "Name a file or folder of text")
    return TextSource(path.name or str(path), read_path(path, column))


def open_hub(reference: str, column: str | None) -> TextSource:
    """A data set on the hub; see ``CalibrationSource``."""
    parsed = HubReference.parse(reference, CALIBRATION_SOURCES.names())
    return TextSource(str(parsed), read_hub(parsed, column), streamed=True)


def _named(source: str) -> tuple[str, str]:
    """The name of a source, and what it is told; paths and data sets need no name."""
    if source in (SELF, DOCS):
        return source, ""
    path = Path(source).expanduser()
    if path.exists():
        return "file", source
    name, _, reference = source.partition(":")
    if name in CALIBRATION_SOURCES.names() or CALIBRATION_SOURCES.plugins_named(name):
        return name, reference
    is_path = is_text_name(source) or path.is_absolute() or source.startswith(".")
    return "file" if is_path else "hub", source


def _checked(name: str, documents: Iterator[Document]) -> Iterator[Document]:
    """The documents of a plugin, whose errors name it."""
    with CALIBRATION_SOURCES.named(name):
        for document in documents:
            if not isinstance(document, Document) or not isinstance(document.text, str):
                raise TypeError(f"it gave {document!r:.80}, no Document with a text")
            yield document


def _language_reference() -> Iterator[Document]:
    """English text that every CPython carries: its help topics, sorted by name."""
    from pydoc_data.topics import topics

    yield Document("\n\n".join(topics[name] for name in sorted(topics)))
