"""Learns from one pass how a model attends, and refuses what is not known to be exact."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface

from nanoaccel.reference.checkpoint import unsupported

NAME = "nanoaccel-look"
# What models hand to their attention and what changes nothing here, or is honoured.
_KNOWN = frozenset(
    {
        "cache_position",
        "dropout",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "position_embeddings",
        "position_ids",
        "return_dict",
        "s_aux",
        "scaling",
        "sliding_window",
        "softcap",
        "use_cache",
    }
)


@dataclass(frozen=True, slots=True)
class AttentionLayer:
    """One of a model's attention layers.

    Args:
        name: Name of its module.
        module: Itself.
        key_heads: Heads of keys and values.
        key_width: Numbers of a key.
        value_width: Numbers of a value.
        window: Tokens that one sees, itself included; None is all.
    """

    name: str
    module: Any
    key_heads: int
    key_width: int
    value_width: int
    window: int | None

    @property
    def decoder(self) -> str:
        """Name of the decoder layer around it: up to the number in the name."""
        parts = self.name.split(".")
        last = max((index for index, part in enumerate(parts) if part.isdigit()), default=-1)
        return ".".join(parts[: last + 1])


@dataclass(frozen=True, slots=True)
class _Mask:
    """What stands for a mask while a model is looked at; no ``window`` is a plain causal one."""

    window: int | None


class _UnknownError(Exception):
    """A model attends in a way that is not known."""


_seen: list[tuple[Any, tuple[int, int, int], int | None]] = []


def find_layers(model: Any, folder: Path) -> list[AttentionLayer]:
    """The attention layers, in the order in which they run.

    Args:
        model: Loaded with the attention function ``NAME``.
        folder: Where it is from.

    Raises:
        UnsupportedModelError: One of them does what is not known, or some layers have none.
    """
    _seen.clear()
    try:
        with torch.inference_mode():
            model(**inputs_of(model)(torch.zeros(2, dtype=torch.int64), torch.arange(2)))
    except _UnknownError as error:
        raise unsupported(folder, f"{type(model).__name__} {error}") from error
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        name = type(model).__name__
        raise unsupported(folder, f"{name} does more with its mask: {error}") from error
    names = {id(module): name for name, module in model.named_modules()}
    found = [
        AttentionLayer(names[id(module)], module, *sizes, window) for module, sizes, window in _seen
    ]
    _seen.clear()
    layers = model.config.get_text_config().num_hidden_layers
    if len({layer.decoder for layer in found}) != layers or len(found) != layers:
        raise unsupported(
            folder, f"{len(found)} of its {layers} layers have attention of their own"
        )
    return found


def inputs_of(model: Any) -> Callable[..., dict[str, Any]]:
    """A function that gives the arguments for some tokens and their positions."""
    known = inspect.signature(model.forward).parameters

    def inputs(tokens: Tensor, positions: Tensor, rows: Tensor | None = None) -> dict[str, Any]:
        made = {
            "input_ids": tokens[None],
            "position_ids": positions[None],
            "cache_position": positions,
            "use_cache": False,
            "logits_to_keep": rows,
        }
        return {name: value for name, value in made.items() if name in known and value is not None}

    return inputs


def _look(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: object, **more: Any
) -> tuple[Tensor, None]:
    """The attention function: notes what it was asked for, and computes nothing."""
    if not isinstance(attention_mask, _Mask):
        raise _UnknownError("makes its mask itself")
    if more.pop("is_causal", None) is False:
        raise _UnknownError("attends to what comes later")
    unknown = sorted(name for name in more if more[name] is not None and name not in _KNOWN)
    if unknown:
        raise _UnknownError(f"attends with {', '.join(unknown)}")
    if any(module is other for other, _, _ in _seen):
        raise _UnknownError("runs an attention layer several times")
    sizes = (key.shape[1], key.shape[3], value.shape[3])
    _seen.append((module, sizes, attention_mask.window))
    return query.new_zeros((1, query.shape[2], query.shape[1], value.shape[3])), None


def _look_at_mask(
    mask_function: Callable[..., Tensor], local_size: int | None = None, **_: Any
) -> _Mask:
    """The mask function: finds out whether it is causal, with a window or without."""
    size = 8 if local_size is None else local_size
    query, first = 3 * size, torch.tensor(0)
    keys = torch.arange(query + 3)
    seen = torch.as_tensor(mask_function(first, first, torch.tensor(query), keys))
    expected = keys <= query
    if local_size is not None:
        expected &= keys > query - local_size
    if not torch.equal(seen.expand(len(keys)), expected):
        raise _UnknownError("has a mask that is neither causal nor a window")
    return _Mask(local_size)


AttentionInterface.register(NAME, _look)
AttentionMaskInterface.register(NAME, _look_at_mask)
