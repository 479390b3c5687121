"""Rows of a file, a folder or a data set on the hub, with all that is wrong on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from nanoaccel.calibration.datasets.files import parquet_rows
from nanoaccel.calibration.datasets.hub import HubReference, stream_rows
from nanoaccel.errors import SourceError
from nanoaccel.finetune.data.forms import FormError, read_form
from nanoaccel.finetune.data.records import Problem, Row


def read_rows(source: str) -> Iterator[Row | Problem]:
    """The rows of a source, in its order; a row that cannot be read is a problem with its place.

    Args:
        source: A .jsonl, .parquet, .txt or .md file, a folder of such files, or a data set on the
            hub, ``org/name[@revision][:config][:split]``.

    Raises:
        SourceError: There is no such file, it is of another kind, or it cannot be read at all.
        ConfigError: The name stands for nothing.
        MissingExtraError: Reading it needs the extra "calibration".
    """
    for where, row in read_raw(source):
        if isinstance(row, Problem):
            yield row
            continue
        try:
            yield Row(where, read_form(row))
        except FormError as error:
            yield Problem(where, str(error))


def read_raw(source: str) -> Iterator[tuple[str, object]]:
    """Place and value of each row as it stands there, or its problem; see ``read_rows``."""
    path = Path(source).expanduser()
    if not path.exists():
        if path.suffix.lower() in _READERS or path.is_absolute() or source.startswith("."):
            raise SourceError(f"{source} does not exist", "Name a file, a folder or a data set")
        reference = HubReference.parse(source, [])
        for number, row in enumerate(stream_rows(reference), 1):
            yield f"{reference}, row {number}", row
        return
    for file in _files(path):
        read = _READERS.get(file.suffix.lower())
        if read is None:
            raise SourceError(f"{file} is no data that can be read", f"Name one of {_kinds()}")
        try:
            yield from read(file)
        except OSError as error:
            raise SourceError(
                f"cannot read {file}: {error.strerror or error}", "Check that it is whole and yours"
            ) from error


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.suffix.lower() in _READERS
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not files:
        raise SourceError(f"{path} has no data in it", f"Put files there: {_kinds()}")
    return files


def _json_lines(path: Path) -> Iterator[tuple[str, object]]:
    with path.open("rb") as file:
        for number, data in enumerate(file, 1):
            where = f"{path}, line {number}"
            try:
                line = data.decode("utf-8").removeprefix("\ufeff")
                if line.strip():
                    yield where, json.loads(line)
            except UnicodeDecodeError as error:
                yield where, Problem(where, f"is not UTF-8 at its byte {error.start}")
            except json.JSONDecodeError as error:
                what = f"is no JSON: {error.msg}, at its character {error.pos + 1}"
                yield where, Problem(where, what)
            except (ValueError, RecursionError) as error:  # a number or a nesting without end
                yield where, Problem(where, f"is no JSON: {error}")


def _parquet(path: Path) -> Iterator[tuple[str, object]]:
    for number, row in enumerate(parquet_rows(path), 1):
        yield f"{path}, row {number}", row


def _plain(path: Path) -> Iterator[tuple[str, object]]:
    try:
        text = path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        yield str(path), Problem(str(path), f"is not UTF-8 at byte {error.start}")
        return
    yield str(path), {"text": text.replace("\r\n", "\n")}


def _kinds() -> str:
    return ", ".join(_READERS)


_READERS: dict[str, Callable[[Path], Iterator[tuple[str, object]]]] = {
    ".jsonl": _json_lines,
    ".jsonlines": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
    ".txt": _plain,
    ".md": _plain,
}
