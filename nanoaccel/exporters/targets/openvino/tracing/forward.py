"""A model's forward pass as a function of tensors, for as long as it is traced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from nanoaccel.exporters.targets.openvino.tracing import attention, experts, kernels, older

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from nanoaccel.exporters.targets.openvino.tracing.attention import Attentions
    from nanoaccel.exporters.targets.openvino.tracing.caches import CachedTensors

INPUTS = ("input_ids", "attention_mask", "position_ids")


@contextmanager
def own_kernels(model: PreTrainedModel) -> Iterator[Attentions]:
    """While it lasts, a model computes with our attention and experts.

    Yields:
        What its attentions are told and tell.
    """
    attentions = attention.register()
    with ExitStack() as stack:
        stack.callback(model.set_attn_implementation, model.config._attn_implementation)
        model.set_attn_implementation(attention.NAME)
        stack.enter_context(experts.replaced(model))
        stack.enter_context(older.replaced(model))
        yield attentions


@contextmanager
def flat_forward(
    model: PreTrainedModel, cached: CachedTensors, attentions: Attentions
) -> Iterator[None]:
    """While it lasts, a model takes its cache as plain tensors, and goes on from its states.

    The model itself is traced, not a module around it: layers keep their names in the graph.
    """
    scan = kernels.DiagonalScan()
    forward = type(model).forward.__get__(model)
    model.forward = _flat(forward, cached, attentions, scan)
    try:
        with kernels.replaced(model, scan):
            yield
    finally:
        del model.forward


def _flat(
    forward: Callable[..., Any],
    cached: CachedTensors,
    attentions: Attentions,
    scan: kernels.DiagonalScan,
) -> Callable[..., Any]:
    """A forward pass whose arguments and results are tensors."""

    def flat(
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        past: Sequence[Tensor],
    ) -> tuple[Tensor, ...]:
        cache = cached.cache(past, position_ids)
        attentions.layers, scan.cache = cache.layers, cache
        if not cached.has_keys:  # such models take the mask of new tokens alone
            attention_mask = attention_mask[:, -input_ids.shape[1] :]
        out = forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=True,
            return_dict=True,
            **{cached.argument: cache},
        )
        return (out.logits, *cached.values(cache))

    return flat
