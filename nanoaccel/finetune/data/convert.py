"""Rows in one form become rows in another; whole rows are parted into two files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from nanoaccel.errors import ConfigError, SourceError
from nanoaccel.exporters.publish import publishing_file
from nanoaccel.finetune.data.forms import FormError, read_form
from nanoaccel.finetune.data.prepare import hold_out
from nanoaccel.finetune.data.read import read_raw, read_rows
from nanoaccel.finetune.data.records import Completion, Conversation, Problem, Record, Row

Form: TypeAlias = Literal["messages", "prompt", "text"]
FORMS: tuple[Form, ...] = ("messages", "prompt", "text")
_MAGIC = {".jsonl": b"{", ".parquet": b"PAR1"}


def convert(
    source: str, out: Path, form: Form, *, skip_broken: bool, overwrite: bool
) -> tuple[int, int]:
    """Write the rows of a source in one form.

    Args:
        source: As of ``read_rows``.
        out: A .jsonl or .parquet file.
        form: "messages", "prompt" (with completion), or "text".
        skip_broken: Whether rows that cannot be read are left out.
        overwrite: Whether a file that stands at ``out`` is replaced.

    Returns:
        Rows that were written, and broken ones that were left out.

    Raises:
        SourceError: A row is broken, or does not fit the form.
        ConfigError: The form or the kind of file is unknown.
        ExportError: Something else stands at ``out``, or the disk is full.
    """
    if form not in FORMS:
        raise ConfigError(f"to={form!r} is unknown", f"Choose {', '.join(FORMS)}")
    rows: list[Mapping[str, object]] = []
    broken = 0
    for row in read_rows(source):
        if not isinstance(row, Problem):
            rows.append(_in_form(row, form))
            continue
        if not skip_broken:
            raise _broken(row, ", or leave such rows out: --skip-broken")
        broken += 1
    write_rows(out, rows, overwrite=overwrite)
    return len(rows), broken


def split(
    source: str, folder: Path, share: float, seed: int, *, overwrite: bool
) -> tuple[int, int]:
    """Part the rows of a source into train.jsonl and validation.jsonl, each as it is.

    Rows that are the same stay together, so that nothing is judged that was learned.

    Args:
        source: As of ``read_rows``.
        folder: Where both files are made.
        share: Share of the rows in validation.jsonl.
        seed: Seed of the choice.
        overwrite: Whether files that stand there are replaced.

    Returns:
        Rows of each.

    Raises:
        ConfigError: The share is out of range.
        SourceError: A row is broken; it is named.
        ExportError: Something else stands there, or the disk is full.
    """
    if not 0 < share < 1:
        raise ConfigError(f"share={share} is out of range", "Give more than 0, less than 1")
    rows = []
    for where, row in read_raw(source):
        try:
            if isinstance(row, Problem):
                raise _broken(row)
            read_form(row)
        except FormError as error:
            raise _broken(Problem(where, str(error))) from error
        assert isinstance(row, Mapping)
        rows.append(row)
    train, held = hold_out(rows, share, seed, _text)
    if not held:
        raise SourceError(
            f"{source} has {len(rows)} rows, of which none can be held out: they are all the same",
            "Name data with two rows or more that differ",
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "train.jsonl", train, overwrite=overwrite)
    write_rows(folder / "validation.jsonl", held, overwrite=overwrite)
    return len(train), len(held)


def write_rows(out: Path, rows: Iterable[Mapping[str, object]], *, overwrite: bool) -> None:
    """Write rows as JSON lines or Parquet, by the name's end.

    Raises:
        ConfigError: The name ends in another way.
        ExportError: Something else stands there, or the disk is full.
    """
    kind = out.suffix.lower()
    if kind not in _MAGIC:
        raise ConfigError(f"{out} is no name of data", "Let it end in .jsonl or .parquet")
    out = out.resolve()
    with publishing_file(out, overwrite=overwrite, magic=_MAGIC[kind]) as partial:
        if kind == ".parquet":
            from pyarrow import Table, parquet

            parquet.write_table(Table.from_pylist([dict(row) for row in rows]), partial)
            return
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(f"{_text(row)}\n" for row in rows)


def _text(row: Mapping[str, object]) -> str:
    return json.dumps(row, ensure_ascii=False)


def _broken(problem: Problem, more: str = "") -> SourceError:
    return SourceError(str(problem), f"See all with 'nanoaccel data check'{more}")


def _in_form(row: Row, form: Form) -> dict[str, object]:
    record = row.record
    if form == "messages":
        return _as_messages(row.where, record)
    if form == "prompt":
        return _as_prompt(row.where, record)
    if isinstance(record, Completion):
        return {"text": record.prompt + record.answer}
    if isinstance(record, Conversation):
        raise _unfit(row.where, "is a conversation, which only a chat template makes a text of")
    return {"text": record.text}


def _as_messages(where: str, record: Record) -> dict[str, object]:
    if isinstance(record, Completion):
        asked = {"role": "user", "content": record.prompt}
        return {"messages": [asked, {"role": "assistant", "content": record.answer}]}
    if isinstance(record, Conversation):
        tools = {} if record.tools is None else {"tools": [*record.tools]}
        return {"messages": [dict(one) for one in record.messages], **tools}
    raise _unfit(where, "is plain text, without a prompt and an answer")


def _as_prompt(where: str, record: Record) -> dict[str, object]:
    if isinstance(record, Completion):
        return {"prompt": record.prompt, "completion": record.answer}
    if isinstance(record, Conversation):
        roles = [one["role"] for one in record.messages]
        if roles != ["user", "assistant"] or record.tools is not None:
            raise _unfit(where, "is not one question and one answer")
        asked, answered = (one["content"] for one in record.messages)
        return {"prompt": asked, "completion": answered}
    raise _unfit(where, "is plain text, without a prompt and an answer")


def _unfit(where: str, what: str) -> SourceError:
    return SourceError(f"{where} {what}", "Choose another form: --to messages, prompt or text")
