"""Layers with a state as a graph holds them: forms that OpenVINO knows how to page.

transformers computes these layers by functions of fixed names, in chunks, or a token at a time
when there is only one. A graph has one form for all lengths.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import conv1d, softplus

if TYPE_CHECKING:
    from torch import Tensor


# What ``loops`` converts, by the index of what is of the size of the output, and of the state.
_LOOPS = {
    "nanoaccel::gated_delta": ("Tensor q, Tensor k, Tensor v, Tensor g, Tensor b, Tensor s", 2, 5),
    "nanoaccel::selective_scan": (
        "Tensor a, Tensor dt, Tensor b, Tensor x, Tensor c, Tensor s, int heads, int times",
        3,
        5,
    ),
}


def _define_loops() -> None:
    """Tell torch of the loops: for the tracer, which knows their sizes alone."""
    for name, (arguments, out, state) in _LOOPS.items():

        def empty(*values: Any, at: tuple[int, int] = (out, state)) -> tuple[Tensor, Tensor]:
            return torch.zeros_like(values[at[0]]), torch.zeros_like(values[at[1]])

        torch.library.define(name, f"({arguments}) -> (Tensor, Tensor)")
        torch.library.impl(name, "default", empty)


_define_loops()


def gated_delta(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    g: Tensor,
    beta: Tensor,
    initial_state: Tensor,
    use_qk_l2norm_in_kernel: bool = False,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """The gated delta rule (Yang et al. 2024, Gated Delta Networks).

    Args:
        query: f32[B, T, H, K].
        key: f32[B, T, H, K].
        value: f32[B, T, V, D], with a multiple of H heads.
        g: f32[B, T, V], logarithm of what is kept of the state.
        beta: f32[B, T, V], how much of the difference is learned.
        initial_state: f32[B, V, K, D].
        use_qk_l2norm_in_kernel: Give queries and keys length 1.

    Returns:
        f32[B, T, V, D], and the state behind the last token.
    """
    query, key, value, g, beta = map(_fixed, (query, key, value, g, beta))
    if use_qk_l2norm_in_kernel:
        query, key = _unit(query), _unit(key)
    times = int(value.shape[2]) // int(key.shape[2])
    if times > 1:
        query, key = (_fixed(x.repeat_interleave(times, 2)) for x in (query, key))
    query, key, value, beta, g = (
        x.transpose(1, 2).contiguous().float() for x in (query, key, value, beta, g)
    )
    query = query * (1 / (query.shape[-1] ** 0.5))
    out, state = torch.ops.nanoaccel.gated_delta(query, key, value, g, beta, initial_state)
    return out.transpose(1, 2).contiguous(), state


def selective_scan(
    hidden_states: Tensor,
    dt: Tensor,
    A: Tensor,  # noqa: N803 (transformers passes them by these names)
    B: Tensor,  # noqa: N803
    C: Tensor,  # noqa: N803
    D: Tensor | None = None,  # noqa: N803
    dt_bias: Tensor | None = None,
    initial_states: Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = (0.0, math.inf),
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """The scan of Mamba-2 (Dao and Gu 2024).

    Args:
        hidden_states: f32[B, T, H, P].
        dt: f32[B, T, H], the step of time.
        A: f32[H], what decays with it.
        B: f32[B, T, G, N], what is written of a token, for every H / G heads.
        C: f32[B, T, G, N], what is read for it.
        D: f32[H], what of a token goes past the state.
        dt_bias: f32[H], added to the step.
        initial_states: f32[B, H, P, N].
        dt_softplus: Make the step positive.
        dt_limit: The least and the greatest step.

    Returns:
        f32[B, T, H, P], and the state behind the last token.
    """
    x, step, inward, outward = map(_fixed, (hidden_states, dt, B, C))
    if dt_bias is not None:
        step = step + dt_bias
    if dt_softplus:
        step = softplus(step)
    if dt_limit[0] > 0 or math.isfinite(dt_limit[1]):
        step = step.clamp(*dt_limit)
    heads = int(x.shape[2])
    rows = (A.float(), step.float(), inward.float(), x.float(), outward.float(), initial_states)
    out, state = torch.ops.nanoaccel.selective_scan(*rows, heads, heads // int(inward.shape[2]))
    return (out if D is None else out + x * D.view(1, 1, -1, 1)), state


def causal_convolution(
    hidden_states: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: str | None = None,
    **_: Any,
) -> Tensor:
    """A convolution of each channel with the tokens before.

    Args:
        hidden_states: f32[B, C, K + T], with the K tokens before the first.
        weight: f32[C, K].
        bias: f32[C].
        activation: Name of a function of transformers that follows.

    Returns:
        f32[B, C, T].
    """
    from transformers.activations import ACT2FN

    channels = int(weight.shape[0])
    out = conv1d(hidden_states, weight.unsqueeze(1), None, groups=channels)[:, :, 1:]
    if bias is not None:
        out = out + bias.reshape(1, -1, 1)
    return out if activation is None else ACT2FN[activation](out)


# The recurrence of the first Mamba, whose state decays by channel: OpenVINO does not page it.
_OTHER = ("mamba_selective_scan", "mamba_inner_fn")

KERNELS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "torch_chunk_gated_delta_rule": gated_delta,
        "mamba2_chunk_scan": selective_scan,
        "causal_conv1d_fn": causal_convolution,
    }
)


def computes_recurrence(model: type[torch.nn.Module]) -> bool:
    """Whether the code of a model has what its recurrent layers call, in a form that is known.

    Args:
        model: Its class.
    """
    homes = _homes(kind.__module__ for kind in model.__mro__)
    names = {name for home in homes for name in vars(home)}
    return "causal_conv1d_fn" in names and names.isdisjoint(_OTHER)


@contextmanager
def replaced(model: torch.nn.Module) -> Iterator[None]:
    """While it lasts, the modules that a model is made of call these kernels.

    Only functions of a model's own code are replaced: of the Python modules that define its layers.
    """
    with ExitStack() as stack:
        for home in _homes(type(module).__module__ for module in model.modules()):
            for name, kernel in KERNELS.items():
                if hasattr(home, name):
                    stack.callback(setattr, home, name, getattr(home, name))
                    setattr(home, name, kernel)
        yield


def _homes(names: Iterable[str]) -> list[ModuleType]:
    """The Python modules of models among these names."""
    found = {name for name in names if name.startswith("transformers.models.")}
    return [sys.modules[name] for name in sorted(found)]


def _fixed(x: Tensor) -> Tensor:
    """The same, with every size but sequences and tokens a number, as OpenVINO's passes ask for."""
    return x.reshape(x.shape[0], x.shape[1], *(int(size) for size in x.shape[2:]))


def _unit(x: Tensor) -> Tensor:
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)
