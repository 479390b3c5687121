"""A data set becomes a training set and a validation set."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from nanoaccel.errors import ConfigError, SourceError
from nanoaccel.finetune.data.encode import Encoder, Example, Long, fit
from nanoaccel.finetune.data.read import read_rows
from nanoaccel.finetune.data.records import Problem, Row
from nanoaccel.text import Tokenizer

_Item = TypeVar("_Item")
_SHOWN = 3
_MOST_HELD_OUT = 500  # examples; more say nothing new and cost time at each evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOptions:
    """How data is read.

    Args:
        max_length: Tokens of an example at most; what is longer is treated as ``long`` says. None
            is for the caller to choose by the model.
        long: "cut" it behind that many tokens, "drop" it, or "refuse" the data.
        raw: Whether prompts are continued as they are, without the model's chat template.
        skip_broken: Whether rows that cannot be read are left out, instead of refusing the data.
        validation: Data to judge by; None holds out a share.
        validation_share: How much is held out, from 0 to below 1.
        seed: Seed of what is held out.

    Raises:
        ConfigError: A value is out of range.
    """

    max_length: int | None = None
    long: Long = "cut"
    raw: bool = False
    skip_broken: bool = False
    validation: str | None = None
    validation_share: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_length is not None and self.max_length < 2:
            raise ConfigError(f"max_length={self.max_length} is out of range", "Give 2 or more")
        if self.long not in ("cut", "drop", "refuse"):
            raise ConfigError(f"long={self.long!r} is unknown", "Choose cut, drop or refuse")
        if not 0 <= self.validation_share < 1:
            raise ConfigError(
                f"validation_share={self.validation_share} is out of range", "Give 0 to below 1"
            )


@dataclass(slots=True)
class Counts:
    """What happened to the rows.

    Args:
        rows: All of them.
        long: Examples that were longer than allowed.
        dropped: Of these, those that were left out.
        problems: Rows that cannot be learned.
    """

    rows: int = 0
    long: int = 0
    dropped: int = 0
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DataSet:
    """Examples to learn and to judge by.

    Args:
        train: To learn.
        validation: To judge by; may be empty.
        counts: What happened to the rows.
        warnings: Sentences about the data that the user should read.
    """

    train: list[Example]
    validation: list[Example]
    counts: Counts
    warnings: tuple[str, ...]


def prepare(source: str, tokenizer: Tokenizer, options: DataOptions) -> DataSet:
    """Read, encode, and split.

    Args:
        source: As of ``read_rows``.
        tokenizer: Of the model.
        options: How.

    Raises:
        SourceError: The data cannot be read, or nothing of it can be learned.
        ConfigError: Examples are too long, and that is to be refused.
    """
    assert options.max_length is not None
    encoder = Encoder(tokenizer, options.max_length, options.raw)
    counts = Counts()
    examples = encode_all(read_rows(source), encoder, options, counts)
    if options.validation is None:
        train, held = hold_out(examples, options.validation_share, options.seed, _key)
        held = held[:_MOST_HELD_OUT]
    else:
        train = examples
        held = encode_all(read_rows(options.validation), encoder, options, counts)
    _refuse(source, counts, options)
    if not train:
        raise _nothing_to_learn(source, counts, options)
    return DataSet(train, held, counts, tuple(_warnings(train, held, counts)))


def encode_all(
    rows: Iterable[Row | Problem], encoder: Encoder, options: DataOptions, counts: Counts
) -> list[Example]:
    """The examples of all rows; what happens to them is counted."""
    examples: list[Example] = []
    for row in rows:
        counts.rows += 1
        found = row if isinstance(row, Problem) else encoder.encode(row)
        if isinstance(found, Problem):
            counts.problems.append(found)
            continue
        long = [one for one in found if len(one) > encoder.longest]
        counts.long += len(long)
        kept = [one for one in found if len(one) <= encoder.longest]
        cut = fit(long, encoder.longest) if options.long == "cut" else []
        counts.dropped += len(long) - len(cut)
        examples += fit(kept, encoder.longest) + cut
    return examples


def hold_out(
    items: Sequence[_Item], share: float, seed: int, key: Callable[[_Item], object]
) -> tuple[list[_Item], list[_Item]]:
    """Part off a share by chance; what has the same key stays together.

    Args:
        items: All of them.
        share: How much is held out; at least one where it is above 0 and there are two.
        seed: Seed of the choice.
        key: What makes two items the same.

    Returns:
        The rest and what is held out, each in its old order.
    """
    groups: dict[object, list[int]] = {}
    for place, item in enumerate(items):
        groups.setdefault(key(item), []).append(place)
    order = list(groups.values())
    random.Random(seed).shuffle(order)
    wanted = max(1, round(len(items) * share)) if share > 0 and len(order) > 1 else 0
    held: set[int] = set()
    for group in order[:-1]:
        if len(held) >= wanted:
            break
        held.update(group)
    rest = [item for place, item in enumerate(items) if place not in held]
    return rest, [item for place, item in enumerate(items) if place in held]


def _nothing_to_learn(source: str, counts: Counts, options: DataOptions) -> SourceError:
    if counts.dropped > 0:
        return SourceError(
            f"{source} has nothing to learn: {counts.dropped} examples are longer than "
            f"{options.max_length} tokens, and no answer begins before",
            "Raise --max-length, or shorten the prompts",
        )
    return SourceError(f"{source} has nothing to learn", "Name data with at least one example")


def _key(example: Example) -> object:
    return example.key


def _refuse(source: str, counts: Counts, options: DataOptions) -> None:
    if counts.problems and not options.skip_broken:
        shown = "; ".join(str(problem) for problem in counts.problems[:_SHOWN])
        more = len(counts.problems) - _SHOWN
        raise SourceError(
            f"{len(counts.problems)} of {counts.rows} rows cannot be learned: {shown}"
            + (f"; and {more} more" if more > 0 else ""),
            f"See all with 'nanoaccel data check {source}', or leave them out with --skip-broken",
        )
    if counts.long and options.long == "refuse":
        raise ConfigError(
            f"{counts.long} examples are longer than {options.max_length} tokens",
            "Raise --max-length, or choose --long cut or --long drop",
        )


def _warnings(train: list[Example], held: list[Example], counts: Counts) -> Iterable[str]:
    if counts.problems:
        yield f"{len(counts.problems)} rows are broken and were left out"
    known = {example.key for example in train}
    twice = len(train) - len(known)
    if twice:
        yield f"{twice} examples of the training set stand there more than once"
    both = sum(example.key in known for example in held)
    if both:
        yield f"{both} of {len(held)} validation examples stand in the training set too"
