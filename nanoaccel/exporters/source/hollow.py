"""A model without its weights, which tells their names and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nanoaccel.errors import UnsupportedModelError
from nanoaccel.exporters.source.text_part import causal_class

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def make_hollow(config: PretrainedConfig) -> PreTrainedModel:
    """A language model of a configuration; its weights have shapes and no numbers.

    Raises:
        UnsupportedModelError: The configuration describes no model.
    """
    import torch

    kind = causal_class(config)
    try:
        with torch.device("meta"):
            model = kind._from_config(config)
    except Exception as error:  # a number that does not fit fails in any of its modules
        reason = (str(error).strip().splitlines() or [""])[0]
        raise UnsupportedModelError(
            f"its config.json describes no {config.model_type!r} that transformers can make: "
            f"{type(error).__name__}: {reason}",
            "Take the config.json that belongs to these weights",
        ) from error
    return model
