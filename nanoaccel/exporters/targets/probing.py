"""The original's log-probabilities for the probes of a self-check, computed in f32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.bundle.attention import long_border
from nanoaccel.calibration.datasets import CalibrationData
from nanoaccel.calibration.probes import Probes, choose_probes

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

# Keys of a config that say beyond which length it computes something else.
_BORDERS = ("sliding_window", "window_size", "attention_chunk_size", "local_attention_window_size")


def probes_for(config: PretrainedConfig, judge: CalibrationData, context: int) -> Probes:
    """Probes that cover the ways in which a model attends, within the time of a check.

    Args:
        config: Its configuration.
        judge: Text that judges it.
        context: Tokens that it can attend to.
    """
    text = config.get_text_config().to_dict()
    borders = [text[name] for name in _BORDERS if isinstance(text.get(name), int)]
    borders = [border for border in borders if border > 0]
    return choose_probes(judge.held_out, context, borders, long_border(text))


def original_answers(model: PreTrainedModel, probes: Probes) -> NDArray[np.float32]:
    """Log-probabilities f32[R, V] that the original gives, with its weights as they are.

    It computes in f32, and attends as its own code says, which faster attention of transformers
    does not always do: that leaves out caps of attention logits without a word.

    Args:
        model: The original, of any float type.
        probes: What it is asked.
    """
    import torch

    def read(tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        try:
            with _widened(model):
                found = model(torch.from_numpy(tokens)[None], use_cache=False).logits
        except RuntimeError:  # a module reads the weights of another: all at once then
            with _all_widened(model):
                found = model(torch.from_numpy(tokens)[None], use_cache=False).logits
        logits: NDArray[np.float32] = found[0].float().numpy()
        return logits

    with torch.inference_mode(), plain_attention(model):
        return probes.ask(read)


@contextmanager
def plain_attention(model: PreTrainedModel) -> Iterator[None]:
    """Use the attention of the model's own code inside the block."""
    before = model.config._attn_implementation
    if before == "eager":
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def _widened(model: PreTrainedModel) -> Iterator[None]:
    """Give each module its weights in f32 while it runs, and no longer."""

    kept: dict[int, list[tuple[torch.nn.Parameter, torch.Tensor]]] = {}

    def widen(module: torch.nn.Module, *_: Any) -> None:
        own = [weight for weight in module.parameters(recurse=False) if _is_narrow(weight)]
        kept[id(module)] = [(weight, weight.data) for weight in own]
        for weight in own:
            weight.data = weight.data.float()

    def restore(module: torch.nn.Module, *_: Any) -> None:
        for weight, data in kept.pop(id(module), []):
            weight.data = data

    narrow = [m for m in model.modules() if any(map(_is_narrow, m.parameters(recurse=False)))]
    hooks = [module.register_forward_pre_hook(widen) for module in narrow]
    hooks += [module.register_forward_hook(restore) for module in narrow]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for weight, data in (pair for pairs in kept.values() for pair in pairs):
            weight.data = data


@contextmanager
def _all_widened(model: PreTrainedModel) -> Iterator[None]:
    """Give all modules their weights in f32."""
    kept = [(weight, weight.data) for weight in model.parameters() if _is_narrow(weight)]
    for weight, data in kept:
        weight.data = data.float()
    try:
        yield
    finally:
        for weight, data in kept:
            weight.data = data


def _is_narrow(weight: torch.Tensor) -> bool:
    return bool(weight.is_floating_point()) and weight.element_size() < 4
