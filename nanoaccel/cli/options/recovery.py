"""Options of a recovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from nanoaccel.finetune.recovery.options import RecoveryOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryFlags:
    """How a bundle is recovered; the defaults are those of ``RecoveryOptions``."""

    minutes: Annotated[
        float | None, typer.Option(help="Time for all of it, judging included.", show_default="15")
    ] = None
    text: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Text that teaches: docs (Python's language reference), self (the original writes "
            "it), a .txt, .jsonl or .parquet file, or a data set on the hub. The part behind it "
            "judges.",
            show_default="docs",
        ),
    ] = None
    column: Annotated[str | None, typer.Option(help="Column of its rows.")] = None
    length: Annotated[
        int | None, typer.Option(help="Tokens of a window of it.", show_default="512")
    ] = None
    samples: Annotated[
        int | None, typer.Option(help="With self, windows that are written.", show_default="64")
    ] = None
    seed: Annotated[
        int | None, typer.Option(help="Of the order, and of what is written.", show_default="0")
    ] = None
    judge_tokens: Annotated[
        int | None,
        typer.Option(
            help="Tokens over which it is compared with the original, before and after.",
            show_default="4096",
        ),
    ] = None
    original: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The model that the bundle was made from.",
            show_default="where the bundle says",
        ),
    ] = None

    def build(self) -> RecoveryOptions:
        """The options.

        Raises:
            ConfigError: A value is wrong.
        """
        from nanoaccel.finetune.recovery.options import RecoveryOptions, teaching_options

        of_text = {
            "source": self.text,
            "column": self.column,
            "length": self.length,
            "samples": self.samples,
            "seed": self.seed,
        }
        given: dict[str, Any] = {
            "minutes": self.minutes,
            "judge_tokens": self.judge_tokens,
            "original": self.original,
            "text": teaching_options(**{k: v for k, v in of_text.items() if v is not None}),
        }
        return RecoveryOptions(**{k: v for k, v in given.items() if v is not None})
