"""The text decoder inside a checkpoint that also sees or hears: its config, class and keys."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nanoaccel.errors import UnsupportedModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

# Names of its weights in the whole checkpoint to those of a decoder alone:
# model.language_model.layers.0, language_model.model.layers.0 and language_model.lm_head.
KEYS: Mapping[str, str] = MappingProxyType(
    {r"^model\.(language_model|text_model)\.": "model.", r"^(language_model|text_model)\.": ""}
)


def decoder_key(name: str) -> str:
    """A stored tensor's name as a decoder alone has it."""
    for pattern, replacement in KEYS.items():
        name = re.sub(pattern, replacement, name)
    return name


def decoder_config(config: PretrainedConfig) -> PretrainedConfig:
    """Configuration of the text decoder: of a part, where a model has parts, or the whole.

    Args:
        config: Configuration, as config.json describes the model.
    """
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
    )

    text = config.get_text_config(decoder=True)
    more = {*MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, *MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES}
    if text is config or decoder_class(text) is None:
        return config
    # Others have parts without which they say something else, such as what a draft model reads.
    return text if config.model_type in more or decoder_class(config) is None else config


def decoder_class(config: PretrainedConfig) -> type[PreTrainedModel] | None:
    """The class of a causal language model; None where transformers has none.

    A part that has only a class without a head gets one that adds it.

    Args:
        config: Configuration of a text decoder.
    """
    from transformers import AutoModel, AutoModelForCausalLM

    if config.is_encoder_decoder:
        return None
    found: type[PreTrainedModel] | None = AutoModelForCausalLM._model_mapping.get(
        type(config), None
    )
    if found is not None:
        return found
    base = AutoModel._model_mapping.get(type(config), None)
    return None if base is None or not _continues(base) else _with_head(base)


def causal_class(config: PretrainedConfig) -> type[PreTrainedModel]:
    """As ``decoder_class``.

    Raises:
        UnsupportedModelError: There is none.
    """
    found = decoder_class(config)
    if found is None:
        raise UnsupportedModelError(
            f"{config.model_type!r} is not a text decoder",
            "NanoAccel exports causal language models",
        )
    return found


def other_parts(model: PreTrainedModel, unknown: Iterable[str]) -> list[str]:
    """Of stored tensors that a decoder has no use for, those that belong to other parts.

    Args:
        model: The decoder.
        unknown: Names of the tensors, as ``KEYS`` renames them.
    """
    own = {_beginning(name) for name, _ in model.named_parameters(remove_duplicate=False)}
    return [name for name in unknown if _beginning(name) not in own]


def _beginning(name: str) -> str:
    return ".".join(name.split(".")[:2])


def _continues(base: type[PreTrainedModel]) -> bool:
    """Whether a model without a head reads tokens behind a cache."""
    taken = inspect.signature(base.forward).parameters
    return "input_ids" in taken and ("past_key_values" in taken or "cache" in taken)


def _with_head(base: type[PreTrainedModel]) -> type[PreTrainedModel]:
    import torch
    from transformers import GenerationMixin
    from transformers.modeling_outputs import CausalLMOutputWithPast

    parent: Any = base.__mro__[1]

    class TextDecoder(parent, GenerationMixin):  # type: ignore[misc]
        base_model_prefix = "model"
        _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012

        def __init__(self, config: PretrainedConfig) -> None:
            super().__init__(config)
            self.model = base(config)
            self.lm_head = torch.nn.Linear(config.hidden_size, config.vocab_size, bias=False)
            self.post_init()

        def forward(self, input_ids: Any = None, **options: Any) -> CausalLMOutputWithPast:
            out = dict(self.model(input_ids=input_ids, **options))
            logits = self.lm_head(out.pop("last_hidden_state"))
            return CausalLMOutputWithPast(logits=logits, **out)

    # What the part takes, its cache above all, is read from here.
    TextDecoder.forward.__signature__ = inspect.signature(base.forward)  # type: ignore[attr-defined]
    return TextDecoder
