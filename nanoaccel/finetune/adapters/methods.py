"""What an adapter is made of, by method; a plugin's is a class like these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from nanoaccel.registry import ADAPTER_METHODS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from nanoaccel.finetune.train.options import TrainingOptions

_RATE = 5e-4


class AdapterMethod(Protocol):
    """A way to adapt the linear layers of a model; what is learned is LoRA, rsLoRA or DoRA."""

    @property
    def rate(self) -> float:
        """The highest learning rate, where the user names none."""
        ...

    @property
    def four_bits(self) -> bool:
        """Whether the base is held in 4 bits while the adapter learns."""
        ...

    def configure(self, options: TrainingOptions) -> Mapping[str, Any]:
        """Fields of ``peft.LoraConfig`` that differ from plain LoRA.

        Args:
            options: Rank, alpha, dropout and layers are taken from them already.
        """
        ...

    def begin(self, model: PreTrainedModel) -> None:
        """Edit the adapter's first weights, in place; this method may be left out.

        Args:
            model: With the adapter in it; the base's weights must stay as they are.
        """
        ...


class AdapterMethodFactory(Protocol):
    """What is registered under the name of a method: mostly its class."""

    def __call__(self) -> AdapterMethod:
        """Make the method."""
        ...


class Lora:
    """A product of two thin matrices beside each layer: https://arxiv.org/abs/2106.09685."""

    rate = _RATE
    four_bits = False

    def configure(self, options: TrainingOptions) -> Mapping[str, Any]:  # noqa: ARG002
        """See ``AdapterMethod``."""
        return {}


class RsLora(Lora):
    """LoRA scaled by the root of the rank: https://arxiv.org/abs/2312.03732."""

    def configure(self, options: TrainingOptions) -> Mapping[str, Any]:  # noqa: ARG002
        """See ``AdapterMethod``."""
        return {"use_rslora": True}


class Dora(Lora):
    """LoRA with lengths of rows of their own: https://arxiv.org/abs/2402.09353."""

    def configure(self, options: TrainingOptions) -> Mapping[str, Any]:  # noqa: ARG002
        """See ``AdapterMethod``."""
        return {"use_dora": True}


class QLora(Lora):
    """LoRA on a base in 4 bits: https://arxiv.org/abs/2305.14314."""

    four_bits = True


def method_of(name: str) -> AdapterMethod:
    """A method by its name.

    Raises:
        ConfigError: There is no such method.
        PluginError: It is a plugin that cannot be used.
    """
    made: AdapterMethod = ADAPTER_METHODS.make(name)
    return made
