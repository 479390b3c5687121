"""Options of a comparison: how both models answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from nanoaccel.cli.options.panels import in_engine

if TYPE_CHECKING:
    from nanoaccel.evaluation.comparison import CompareOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOptions:
    """How both models answer."""

    max_tokens: Annotated[int, typer.Option(help="Tokens of an answer at most.")] = 128
    raw: Annotated[
        bool, typer.Option("--raw", help="Continue prompts as they are, without chat template.")
    ] = False
    backend_a: Annotated[
        str | None,
        in_engine(
            metavar="NAME", help="What runs A; auto is what is fastest here.", show_default="auto"
        ),
    ] = None
    backend_b: Annotated[
        str | None, in_engine(metavar="NAME", help="What runs B.", show_default="auto")
    ] = None
    adapter_a: Annotated[
        str | None,
        in_engine(
            metavar="NAME|DIR", help="An adapter that A answers with: one of A's, or a folder."
        ),
    ] = None
    adapter_b: Annotated[
        str | None, in_engine(metavar="NAME|DIR", help="An adapter that B answers with.")
    ] = None
    threads: Annotated[int | None, in_engine(help="CPU threads; chosen when not given.")] = None
    precision: Annotated[
        str | None,
        in_engine(
            metavar="auto|f32",
            help="f32 shows differences of the weights alone, slowly.",
            show_default="auto",
        ),
    ] = None

    def options(self) -> CompareOptions:
        """Options of ``compare``.

        Raises:
            ConfigError: One is out of range.
        """
        from nanoaccel.evaluation.comparison import CompareOptions

        return CompareOptions(
            max_tokens=self.max_tokens,
            raw=self.raw,
            backend_a=self.backend_a,
            backend_b=self.backend_b,
            adapter_a=self.adapter_a,
            adapter_b=self.adapter_b,
            threads=self.threads,
            precision=self.precision,  # type: ignore[arg-type]
        )
