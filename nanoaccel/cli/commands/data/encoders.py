"""Options of data commands that name a model, and what they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from nanoaccel.finetune.data.encode import Encoder

ModelName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="Encode it as this model reads it: a bundle, or what export takes.",
        show_default="look at the rows alone",
    ),
]
MaxLength: TypeAlias = Annotated[int, typer.Option(min=2, help="Tokens of an example at most.")]
Raw: TypeAlias = Annotated[
    bool, typer.Option("--raw", help="Continue prompts as they are, without the chat template.")
]


def open_encoder(model: str | None, longest: int, *, raw: bool) -> Encoder | None:
    """What encodes data for a model; None where none is named.

    Args:
        model: A bundle, or what is exported.
        longest: Tokens of an example at most.
        raw: Whether prompts are continued as they are.
    """
    if model is None:
        return None
    from nanoaccel.finetune.data.encode import Encoder
    from nanoaccel.finetune.data.tokenizers import open_tokenizer

    return Encoder(open_tokenizer(model), longest, raw)
