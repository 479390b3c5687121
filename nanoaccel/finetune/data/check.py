"""What is wrong with a data set, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nanoaccel.errors import SourceError
from nanoaccel.finetune.data.encode import Encoder, fit
from nanoaccel.finetune.data.read import read_rows
from nanoaccel.finetune.data.records import PlainText, Problem


@dataclass(frozen=True, slots=True)
class Checked:
    """A data set that was read whole.

    Args:
        rows: All of them.
        problems: Why rows cannot be learned.
        warnings: What should be looked at, and keeps no row from being learned.
    """

    rows: int
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check(source: str, encoder: Encoder | None = None) -> Checked:
    """Read a data set whole.

    Args:
        source: As of ``read_rows``.
        encoder: Of the model that is to learn it; None looks at the rows alone.

    Raises:
        SourceError: It cannot be read at all, or there is nothing in it.
    """
    problems: list[Problem] = []
    warnings: list[Problem] = []
    seen: dict[str, str] = {}
    count = 0
    for row in read_rows(source):
        count += 1
        if isinstance(row, Problem):
            problems.append(row)
            continue
        first = seen.setdefault(repr(row.record), row.where)
        if first is not row.where:
            warnings.append(Problem(row.where, f"is the same as {first}"))
        if encoder is None:
            continue
        found = encoder.encode(row)
        if isinstance(found, Problem):
            problems.append(found)
            continue
        longest = max(map(len, found), default=0)
        if longest > encoder.longest and not fit(found, encoder.longest):
            problems.append(_unread(row.where, longest, encoder.longest))
        elif not isinstance(row.record, PlainText):
            warnings += _too_long(row.where, longest, encoder.longest)
    if count == 0:
        raise SourceError(f"{source} has no rows", "Name data with at least one example")
    return Checked(count, tuple(problems), tuple(warnings))


def _unread(where: str, tokens: int, longest: int) -> Problem:
    return Problem(
        where, f"has {tokens:,} tokens, and its answer begins behind the {longest:,} that are read"
    )


def _too_long(where: str, tokens: int, longest: int) -> Iterator[Problem]:
    if tokens > longest:
        yield Problem(where, f"has {tokens:,} tokens, {longest:,} are read")
