"""Documents of a data set on the Hugging Face hub, streamed: what is not read is not downloaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

from nanoaccel.calibration.datasets.rows import Document, choose_columns, read_row
from nanoaccel.errors import ConfigError, MissingExtraError, NanoAccelError, SourceError
from nanoaccel.registry import did_you_mean

SYNTAX = "org/name[@revision][:config][:split]"
_REFERENCE = re.compile(
    r"(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?(:(?P<config>[^:]+(?=:)))?(:(?P<split>[^:]+))?"
)


@dataclass(frozen=True, slots=True)
class HubReference:
    """A data set and the part of it to read.

    Args:
        name: ``org/name``.
        revision: Branch, tag or commit; None is the newest.
        config: Subset of the data set; None is its only or default one.
        split: One of its splits.
    """

    name: str
    revision: str | None = None
    config: str | None = None
    split: str = "train"

    @classmethod
    def parse(cls, source: str, others: list[str]) -> HubReference:
        """Read ``org/name[@revision][:config][:split]``; one part after the name is the split.

        Args:
            source: What the user wrote.
            others: Names that it may have been meant for.

        Raises:
            ConfigError: It is written in another way.
        """
        match = _REFERENCE.fullmatch(source)
        if match is None:
            raise ConfigError(
                f"{source!r} is neither a file nor a folder, nor written as {SYNTAX}",
                did_you_mean(source, others),
            )
        split = match["split"]
        return cls(
            match["name"], match["revision"], match["config"], "train" if split is None else split
        )

    def __str__(self) -> str:
        revision = "" if self.revision is None else f"@{self.revision}"
        config = "" if self.config is None else f":{self.config}"
        return f"{self.name}{revision}{config}:{self.split}"


def read_hub(reference: HubReference, column: str | None) -> Iterator[Document]:
    """The documents of a data set, in its order.

    Args:
        reference: The reference.
        column: Column to read; None finds one, see `choose_columns`.

    Raises:
        SourceError: It cannot be found or read, or a row is of the wrong type.
        ConfigError: The column is not there.
        MissingExtraError: The library datasets is not installed.
    """
    for number, row in enumerate(stream_rows(reference), 1):
        columns = choose_columns(row, column, str(reference))
        yield from read_row(row, columns, f"{reference}, row {number}")


def stream_rows(reference: HubReference) -> Iterator[Mapping[str, Any]]:
    """The rows of a data set, in its order.

    Args:
        reference: The reference.

    Raises:
        SourceError: It cannot be found or read.
        MissingExtraError: The library datasets is not installed.
    """
    with _reading(reference):
        yield from _stream(reference)


def _stream(reference: HubReference) -> Iterator[Mapping[str, Any]]:
    try:
        from datasets import load_dataset
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{reference} needs the library {error.name}, which is not installed",
            'Install it: pip install "nanoaccel[calibration]"',
        ) from error
    rows: Iterator[Mapping[str, Any]] = iter(
        load_dataset(
            reference.name,
            reference.config,
            split=reference.split,
            revision=reference.revision,
            streaming=True,
            **_no_scripts(load_dataset),
        )
    )
    return rows


def _no_scripts(load_dataset: Callable[..., Any]) -> dict[str, bool]:
    """Version 3 of the library can run a data set's own code, later ones cannot."""
    asks = "trust_remote_code" in signature(load_dataset).parameters
    return {"trust_remote_code": False} if asks else {}


@contextmanager
def _reading(reference: HubReference) -> Iterator[None]:
    """Turn what datasets raises into a SourceError."""
    try:
        yield
    except NanoAccelError:
        raise
    except Exception as error:  # the library, its file formats and the network raise all kinds
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        raise SourceError(
            f"the hub did not give the data set {reference}: {reason}",
            f"Check that it is written as {SYNTAX}, or log in with 'hf auth login' if it is gated",
        ) from error
