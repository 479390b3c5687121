"""A model without its weights, which tells their names and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nanoaccel.errors import UnsupportedModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def make_hollow(config: PretrainedConfig) -> PreTrainedModel:
    """A language model of a configuration; its weights have shapes and no numbers.

    Raises:
        UnsupportedModelError: The configuration describes no model.
    """
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(
                config, trust_remote_code=False
            )
    except Exception as error:  # a number that does not fit fails in any of its modules
        reason = (str(error).strip().splitlines() or [""])[0]
        raise UnsupportedModelError(
            f"its config.json describes no {config.model_type!r} that transformers can make: "
            f"{type(error).__name__}: {reason}",
            "Take the config.json that belongs to these weights",
        ) from error
    return model
