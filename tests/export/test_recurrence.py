"""Recurrences as they are traced compute what transformers computes a token at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("openvino")

import openvino as ov
import torch

from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.targets.openvino.tracing import kernels
from nanoaccel.exporters.targets.openvino.tracing.loops import RULES
from nanoaccel.openvino_core import openvino_core

pytestmark = pytest.mark.export

BATCH, TOKENS = 2, 5
HEADS, GROUPS, WIDTH, SIZE = 4, 2, 8, 16


class Module(torch.nn.Module):
    """A function of tensors."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *values: Any) -> Any:
        return self.function(*values)


def converted(function: Callable[..., Any], values: tuple[Any, ...]) -> list[np.ndarray]:
    """What OpenVINO gives for a function, whose number of tokens is free."""
    shapes = [
        ov.PartialShape([-1 if size == TOKENS else size for size in value.shape])
        for value in values
    ]
    with quiet():
        graph = ov.convert_model(
            Module(function), example_input=values, input=shapes, extension=[*RULES]
        )
    compiled = openvino_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return list(compiled([value.numpy() for value in values]).values())


def random(*sizes: int) -> Any:
    return torch.randn(sizes, generator=torch.Generator().manual_seed(sum(sizes)))


def check(function: Callable[..., Any], values: tuple[Any, ...], expected: list[Any]) -> None:
    for found, right in zip(converted(function, values), expected, strict=True):
        np.testing.assert_allclose(found, right.numpy(), atol=1e-4)


def test_gated_delta_is_transformers_rule() -> None:
    from transformers.models.qwen3_5.modeling_qwen3_5 import torch_recurrent_gated_delta_rule

    values = (
        random(BATCH, TOKENS, GROUPS, WIDTH),
        random(BATCH, TOKENS, GROUPS, WIDTH) + 0.1,
        random(BATCH, TOKENS, HEADS, SIZE),
        -random(BATCH, TOKENS, HEADS).abs(),
        random(BATCH, TOKENS, HEADS).sigmoid(),
        random(BATCH, HEADS, WIDTH, SIZE),
    )
    out, state = torch_recurrent_gated_delta_rule(
        *values[:3],
        g=values[3],
        beta=values[4],
        initial_state=values[5],
        output_final_state=True,
        use_qk_l2norm_in_kernel=True,
    )

    def traced(*given: Any) -> Any:
        return kernels.gated_delta(*given, use_qk_l2norm_in_kernel=True)

    check(traced, values, [out, state])


@pytest.mark.parametrize("limit", [(0.0, float("inf")), (0.5, 1.0)])
def test_selective_scan_is_transformers_scan(limit: tuple[float, float]) -> None:
    from transformers.models.granitemoehybrid.modeling_granitemoehybrid import mamba2_chunk_scan

    decay, skip, bias = -random(HEADS).abs(), random(HEADS), random(HEADS)
    values = (
        random(BATCH, TOKENS, HEADS, WIDTH),
        random(BATCH, TOKENS, HEADS),
        random(BATCH, TOKENS, GROUPS, SIZE),
        random(BATCH, TOKENS, GROUPS, SIZE) + 0.1,
        random(BATCH, HEADS, WIDTH, SIZE),
    )
    more = {"D": skip, "dt_bias": bias, "dt_softplus": True, "dt_limit": limit}

    def scan(kernel: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x, step, inward, outward, state: kernel(
            x,
            step,
            decay,
            inward,
            outward,
            chunk_size=4,
            initial_states=state,
            return_final_states=True,
            **more,
        )

    check(scan(kernels.selective_scan), values, [*scan(mamba2_chunk_scan)(*values)])


@pytest.mark.parametrize("activation", [None, "silu"])
def test_convolution_goes_on_behind_the_tokens_before(activation: str | None) -> None:
    from transformers.models.lfm2.modeling_lfm2 import causal_conv1d_fn

    weight, bias, text = random(WIDTH, 3), random(WIDTH), random(BATCH, WIDTH, 3 + TOKENS)
    found = kernels.causal_convolution(text, weight, bias, activation)
    right = causal_conv1d_fn(text, weight, bias, activation)[:, :, -TOKENS:]
    torch.testing.assert_close(found, right)


def test_replaced_functions_come_back() -> None:
    from transformers.models.lfm2 import modeling_lfm2

    class Layer(torch.nn.Module):
        __module__ = modeling_lfm2.__name__

    before = modeling_lfm2.causal_conv1d_fn
    with kernels.replaced(Layer(), kernels.DiagonalScan()):
        assert modeling_lfm2.causal_conv1d_fn is kernels.causal_convolution
    assert modeling_lfm2.causal_conv1d_fn is before


def test_a_recurrence_that_is_not_known_is_told() -> None:
    from transformers import FalconH1ForCausalLM, Lfm2ForCausalLM, RecurrentGemmaForCausalLM

    assert kernels.computes_recurrence(FalconH1ForCausalLM)
    assert kernels.computes_recurrence(Lfm2ForCausalLM)
    assert not kernels.computes_recurrence(RecurrentGemmaForCausalLM)


def test_recurrences_with_a_decay_for_each_cell_are_told() -> None:
    from transformers import FalconH1ForCausalLM, JambaForCausalLM

    assert kernels.decays_by_cell(JambaForCausalLM)
    assert not kernels.decays_by_cell(FalconH1ForCausalLM)
