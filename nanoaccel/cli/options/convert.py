"""Options of what a conversion makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertFlags:
    """What is made; what is not said stays as it is."""

    to: Annotated[
        str | None,
        typer.Option(
            metavar="bundle|gguf|optimum|genai",
            help="What OUT becomes.",
            show_default="gguf for a name that ends in .gguf, else bundle",
        ),
    ] = None
    runtime: Annotated[
        str | None,
        typer.Option(
            metavar="openvino|onnx|both|auto",
            help="What runs a bundle.",
            show_default="as it is",
        ),
    ] = None
    original: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The model that a bundle was made from.",
            show_default="where the bundle says, if it is on this machine",
        ),
    ] = None
    gguf_type: Annotated[
        str | None,
        typer.Option(
            metavar="f32|bf16|f16|q8_0|q4_1|q4_0",
            help="Type of the matrices of a GGUF file.",
            show_default="as they are stored; q8_0 where there is no such type",
        ),
    ] = None
    judge_tokens: Annotated[
        int | None,
        typer.Option(
            help="Tokens over which a new recipe is compared.",
            show_default="4096, or 16384 where limits depend on it",
        ),
    ] = None
