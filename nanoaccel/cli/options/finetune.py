"""Options of a training, and of the data that it learns from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from nanoaccel.cli.options.panels import in_data, in_training
from nanoaccel.cli.options.plugged import plugged_names
from nanoaccel.errors import ConfigError
from nanoaccel.registry import ADAPTER_METHODS

if TYPE_CHECKING:
    from nanoaccel.finetune.data.prepare import DataOptions
    from nanoaccel.finetune.train.options import TrainingOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFlags:
    """How a model learns; the defaults are those of ``TrainingOptions``."""

    method: Annotated[
        str,
        in_training(
            metavar="lora|rslora|dora|qlora|full",
            help="An adapter, an adapter on a base in 4 bits (qlora), or all weights."
            f"{plugged_names(ADAPTER_METHODS)}",
        ),
    ] = "lora"
    rank: Annotated[int, in_training(help="Rank of an adapter.")] = 16
    alpha: Annotated[
        float | None, in_training(help="Its scale is alpha / rank.", show_default="twice the rank")
    ] = None
    dropout: Annotated[float, in_training(help="Share of an adapter's inputs that is dropped.")] = 0
    modules: Annotated[
        str | None,
        in_training(
            metavar="NAME,...",
            help="Linear layers that get an adapter: q_proj,v_proj.",
            show_default="all but the last",
        ),
    ] = None
    layers: Annotated[
        str | None,
        in_training(
            metavar="N,N-M,...", help="Blocks that are trained: 20-29.", show_default="all"
        ),
    ] = None
    learning_rate: Annotated[
        float | None,
        in_training(help="The highest.", show_default="5e-4 for adapters, 3e-5 for all weights"),
    ] = None
    epochs: Annotated[float, in_training(help="Times that each example is learned.")] = 3
    batch_tokens: Annotated[int, in_training(help="Tokens of a step at most.")] = 2048
    pass_tokens: Annotated[
        int | None,
        in_training(
            help="Tokens that are computed at once; fewer take less memory.",
            show_default="512 with qlora, else 1024",
        ),
    ] = None
    weight_decay: Annotated[float, in_training(help="AdamW's.")] = 0
    gradient_checkpointing: Annotated[
        bool,
        in_training(
            "--gradient-checkpointing", help="Take less memory, and a third more time a step."
        ),
    ] = False
    evaluations: Annotated[int, in_training(help="Times that the validation set is judged.")] = 8
    patience: Annotated[
        int | None,
        in_training(
            help="Evaluations without a better loss after which it stops.", show_default="never"
        ),
    ] = None
    samples: Annotated[int, in_training(help="Answers that are shown at each evaluation.")] = 3

    def build(self, seed: int) -> TrainingOptions:
        """The options.

        Args:
            seed: Of first weights, dropout and order.

        Raises:
            ConfigError: A value is wrong.
        """
        from nanoaccel.finetune.train.options import TrainingOptions

        return TrainingOptions(
            method=self.method,
            rank=self.rank,
            alpha=self.alpha,
            dropout=self.dropout,
            modules=() if self.modules is None else tuple(self.modules.split(",")),
            layers=() if self.layers is None else parse_layers(self.layers),
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            batch_tokens=self.batch_tokens,
            pass_tokens=self.pass_tokens,
            weight_decay=self.weight_decay,
            gradient_checkpointing=self.gradient_checkpointing,
            evaluations=self.evaluations,
            patience=self.patience,
            samples=self.samples,
            seed=seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFlags:
    """How data is read; the defaults are those of ``DataOptions``."""

    max_length: Annotated[
        int | None,
        in_data(
            help="Tokens of an example at most.", show_default="1024, or the context if shorter"
        ),
    ] = None
    long: Annotated[
        str,
        in_data(metavar="cut|drop|refuse", help="What becomes of longer ones; texts are split."),
    ] = "cut"
    raw: Annotated[
        bool, in_data("--raw", help="Continue prompts as they are, without the chat template.")
    ] = False
    skip_broken: Annotated[
        bool, in_data("--skip-broken", help="Leave out rows that cannot be learned.")
    ] = False
    validation: Annotated[
        str | None,
        in_data(metavar="DATA", help="Data to judge by.", show_default="a share of the data"),
    ] = None
    validation_share: Annotated[float, in_data(help="Share that is held out to judge by.")] = 0.05

    def build(self, seed: int) -> DataOptions:
        """The options.

        Args:
            seed: Of what is held out.

        Raises:
            ConfigError: A value is wrong.
        """
        from nanoaccel.finetune.data.prepare import DataOptions

        return DataOptions(
            max_length=self.max_length,
            long=self.long,  # type: ignore[arg-type]
            raw=self.raw,
            skip_broken=self.skip_broken,
            validation=self.validation,
            validation_share=self.validation_share,
            seed=seed,
        )


def parse_layers(text: str) -> tuple[int, ...]:
    """Numbers and ranges of numbers, both ends included.

    Raises:
        ConfigError: It is written in another way.

    Examples:
        >>> parse_layers("0,4-6")
        (0, 4, 5, 6)
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None or (match[2] is not None and int(match[2]) < int(match[1])):
            raise ConfigError(f"--layers {text!r} is no list of numbers", "Write it as 0,4-6")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return tuple(dict.fromkeys(found))
