"""Where text comes from: a name becomes a stream of documents."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nanoaccel.calibration.datasets.files import is_text_name, read_path
from nanoaccel.calibration.datasets.hub import HubReference, read_hub
from nanoaccel.calibration.datasets.options import DOCS, SELF
from nanoaccel.calibration.datasets.rows import Document
from nanoaccel.errors import ConfigError, SourceError


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


def open_source(source: str, column: str | None = None) -> TextSource:
    """Find text; nothing is read yet.

    Args:
        source: ``docs``, a file, a folder, or a data set on the hub.
        column: Column of its rows; None finds one.

    Raises:
        ConfigError: The name stands for nothing, or for text that is not written yet (``self``).
        SourceError: There is no such file.
    """
    if source == SELF:
        raise ConfigError(f"the text {SELF!r} needs a model that writes it", "Name another text")
    if source == DOCS:
        version = ".".join(platform.python_version_tuple()[:2])
        name = f"Python's language reference (pydoc topics, CPython {version})"
        return TextSource(name, _language_reference())
    path = Path(source).expanduser()
    if path.exists():
        return TextSource(path.name or str(path), read_path(path, column))
    if is_text_name(source) or path.is_absolute() or source.startswith("."):
        raise SourceError(f"{source} does not exist", "Name a file or folder of text")
    reference = HubReference.parse(source, [DOCS, SELF])
    return TextSource(str(reference), read_hub(reference, column), streamed=True)


def _language_reference() -> Iterator[Document]:
    """English text that every CPython carries: its help topics, sorted by name."""
    from pydoc_data.topics import topics

    yield Document("\n\n".join(topics[name] for name in sorted(topics)))
