"""Documents in files: plain text, JSON lines, Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nanoaccel.calibration.datasets.rows import Document, choose_columns, read_row
from nanoaccel.errors import ConfigError, MissingExtraError, SourceError

_BATCH = 256  # rows of a Parquet file in memory at once


def read_path(path: Path, column: str | None) -> Iterator[Document]:
    """The documents of a file, or of all files in a folder, sorted by name; hidden ones are left.

    Args:
        path: A .txt, .md, .jsonl, .jsonlines, .ndjson or .parquet file, or a folder of them.
        column: Column to read; None finds one, see `choose_columns`.

    Raises:
        SourceError: A file is foreign, unreadable or broken; the line or byte is named.
        ConfigError: The column is not there.
        MissingExtraError: Parquet needs pyarrow.
    """
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if _is_meant(file.relative_to(path))]
        if not files:
            raise SourceError(f"{path} has no text in it", f"Put files there: {_kinds()}")
    else:
        files = [path]
    for file in files:
        yield from _read_file(file, column)


def is_text_name(name: str) -> bool:
    """Whether a name ends as a file that can be read does."""
    return Path(name).suffix.lower() in _READERS


def parquet_rows(path: Path) -> Iterator[dict[str, object]]:
    """The rows of a Parquet file with all their columns.

    Raises:
        SourceError: The file is broken.
        MissingExtraError: It needs pyarrow.
    """
    with _pyarrow_errors(path):
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH):
                yield from batch.to_pylist()


def _read_file(path: Path, column: str | None) -> Iterator[Document]:
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise SourceError(f"{path} is no text that can be read", f"Name one of {_kinds()}")
    try:
        yield from read(path, column)
    except OSError as error:
        raise SourceError(
            f"cannot read {path}: {error.strerror or error}", "Check that it is whole and yours"
        ) from error


def _read_plain(path: Path, column: str | None) -> Iterator[Document]:
    if column is not None:
        raise ConfigError(f"{path} is plain text, without a column {column!r}", "Leave it out")
    text = _decode(path.read_bytes(), path, 0)
    if text.strip():
        yield Document(text.replace("\r\n", "\n"))


def _read_json_lines(path: Path, column: str | None) -> Iterator[Document]:
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            where = f"{path}, line {number}"
            text = _decode(line, path, offset)
            offset += len(line)
            if text.strip():
                row = _json_object(text, where)
                yield from read_row(row, choose_columns(row, column, where), where)


def _json_object(line: str, where: str) -> dict[str, object]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise SourceError(f"{where} is not JSON: {error}", "Write one object a line") from error
    if not isinstance(row, dict):
        raise SourceError(f"{where} is of type {type(row).__name__}", "It must be an object")
    return row


def _read_parquet(path: Path, column: str | None) -> Iterator[Document]:
    with _pyarrow_errors(path):
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            columns = choose_columns(file.schema_arrow.names, column, str(path))
            number = 0
            for batch in file.iter_batches(_BATCH, columns=list(columns)):
                for row in batch.to_pylist():
                    number += 1
                    yield from read_row(row, columns, f"{path}, row {number}")


@contextmanager
def _pyarrow_errors(path: Path) -> Iterator[None]:
    try:
        from pyarrow import ArrowException
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{path} needs pyarrow, which is not installed",
            'Install it: pip install "nanoaccel[calibration]"',
        ) from error
    try:
        yield
    except ArrowException as error:
        raise SourceError(
            f"{path} is not a whole Parquet file: {str(error).splitlines()[0]}", "Write it again"
        ) from error


def _decode(data: bytes, path: Path, offset: int) -> str:
    """UTF-8, with or without a byte order mark; ``offset`` is where the data begins in the file."""
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{path} is not UTF-8 at byte {offset + error.start}", "Save it as UTF-8"
        ) from error


def _is_meant(inside: Path) -> bool:
    hidden = any(part.startswith(".") for part in inside.parts)
    return is_text_name(inside.name) and not hidden


def _kinds() -> str:
    return ", ".join(_READERS)


_READERS: dict[str, Callable[[Path, str | None], Iterator[Document]]] = {
    ".txt": _read_plain,
    ".md": _read_plain,
    ".jsonl": _read_json_lines,
    ".jsonlines": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}
