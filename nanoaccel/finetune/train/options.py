"""What a user may choose of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nanoaccel.errors import ConfigError
from nanoaccel.finetune.adapters.methods import method_of
from nanoaccel.registry import ADAPTER_METHODS, did_you_mean

FULL = "full"
_FULL_RATE = 3e-5
_MOST_RANK = 4096  # that the operators compute
_PASS_TOKENS, _FOUR_BIT_PASS_TOKENS = 1024, 512


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How a model learns.

    Args:
        method: What is trained: "lora", "rslora" and "dora" are adapters, "qlora" is LoRA on a base
            in 4 bits, a plugin's name is an adapter of its kind, "full" all weights.
        rank: Rank of an adapter.
        alpha: Its scale is alpha / rank; rsLoRA's alpha / sqrt(rank). None is twice the rank.
        dropout: Share of an adapter's inputs that is dropped while it learns.
        modules: Names of the linear layers that get an adapter; none means all but the last.
        layers: Numbers of the blocks that are trained; none means all.
        learning_rate: Highest; None is 5e-4 for adapters and 3e-5 for all weights.
        epochs: Times that each example is learned.
        batch_tokens: Tokens of a step at most, those that are only read included.
        pass_tokens: Tokens that are computed at once, unless an example is longer: fewer take less
            memory. None is 512 on a base in 4 bits, whose pass takes more memory than its weights,
            else 1024.
        weight_decay: AdamW's.
        gradient_checkpointing: Whether blocks are computed again for their gradients, which takes
            a third more time and keeps less in memory.
        evaluations: Times that the validation set is judged, the last step included.
        patience: Evaluations without a better loss after which the training stops; None never.
        samples: Answers that are written at each evaluation.
        seed: Seed of first weights, dropout and order.

    Raises:
        ConfigError: A value is out of range.
        PluginError: The plugin of the method cannot be used.
    """

    method: str = "lora"
    rank: int = 16
    alpha: float | None = None
    dropout: float = 0.0
    modules: tuple[str, ...] = ()
    layers: tuple[int, ...] = ()
    learning_rate: float | None = None
    epochs: float = 3
    batch_tokens: int = 2048
    pass_tokens: int | None = None
    weight_decay: float = 0.0
    gradient_checkpointing: bool = False
    evaluations: int = 8
    patience: int | None = None
    samples: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.adapts and not ADAPTER_METHODS.plugins_named(self.method):
            known = [*ADAPTER_METHODS.names(), FULL]
            if self.method not in known:
                raise ConfigError(
                    f"method={self.method!r} is unknown", did_you_mean(self.method, known)
                )
        for name in ("batch_tokens", "evaluations"):
            _check(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        _check("rank", self.rank, 1 <= self.rank <= _MOST_RANK, f"1 to {_MOST_RANK}")
        _check("epochs", self.epochs, 0 < self.epochs < math.inf, "more than 0, and finite")
        _check("seed", self.seed, 0 <= self.seed < 2**63, "0 to 2**63 - 1")
        _check("dropout", self.dropout, 0 <= self.dropout < 1, "0 to below 1")
        _check("weight_decay", self.weight_decay, self.weight_decay >= 0, "0 or more")
        _check("samples", self.samples, self.samples >= 0, "0 or more")
        for name in ("patience", "alpha", "learning_rate", "pass_tokens"):
            value = getattr(self, name)
            _check(name, value, value is None or value > 0, "more than 0")
        _check("learning rate of the method", self.rate, self.rate > 0, "more than 0")
        if not self.adapts and self.modules:
            raise ConfigError("modules are those of an adapter", "Leave them out with method=full")

    @property
    def adapts(self) -> bool:
        """Whether an adapter is trained."""
        return self.method != FULL

    @property
    def scale_alpha(self) -> float:
        """Alpha, chosen or not."""
        return 2.0 * self.rank if self.alpha is None else self.alpha

    @property
    def tokens_of_pass(self) -> int:
        """Tokens that are computed at once, chosen or not."""
        if self.pass_tokens is not None:
            return self.pass_tokens
        return _FOUR_BIT_PASS_TOKENS if self.four_bits else _PASS_TOKENS

    @property
    def rate(self) -> float:
        """Highest learning rate, chosen or not."""
        if self.learning_rate is not None:
            return self.learning_rate
        if not self.adapts:
            return _FULL_RATE
        with ADAPTER_METHODS.named(self.method):
            return float(method_of(self.method).rate)

    @property
    def four_bits(self) -> bool:
        """Whether the base is held in 4 bits."""
        return self.adapts and bool(method_of(self.method).four_bits)


def _check(name: str, value: object, fits: bool, wanted: str) -> None:
    if not fits:
        raise ConfigError(f"{name}={value} is out of range", f"Give {wanted}")
