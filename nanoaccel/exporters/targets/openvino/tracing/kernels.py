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
from torch.nn.functional import conv1d, silu, softplus

from nanoaccel.errors import UnsupportedModelError

if TYPE_CHECKING:
    from torch import Tensor

    from nanoaccel.exporters.targets.openvino.tracing.states import StateCache

_DIAGONAL = 3  # axes of a state whose cells decay by themselves: sequences, channels, cells
# What ``loops`` converts, by the index of what is of the size of the output, and of the state.
_LOOPS = {
    "nanoaccel::gated_delta": ("Tensor q, Tensor k, Tensor v, Tensor g, Tensor b, Tensor s", 2, 5),
    "nanoaccel::selective_scan": (
        "Tensor a, Tensor dt, Tensor b, Tensor x, Tensor c, Tensor s, int heads, int times",
        3,
        5,
    ),
    "nanoaccel::diagonal_scan": (
        "Tensor a, Tensor dt, Tensor b, Tensor x, Tensor c, Tensor s",
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
    """The gated delta rule (Yang et al. 2024, Gated Delta Networks), or Kimi's, of finer gates.

    Args:
        query: f32[B, T, H, K].
        key: f32[B, T, H, K].
        value: f32[B, T, V, D], with a multiple of H heads.
        g: f32[B, T, V], logarithm of what is kept of the state; or f32[B, T, V, K], of each row.
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
    step = _adjusted(step, dt_bias, dt_softplus)
    if dt_limit[0] > 0 or math.isfinite(dt_limit[1]):
        step = step.clamp(*dt_limit)
    heads = int(x.shape[2])
    rows = (A.float(), step.float(), inward.float(), x.float(), outward.float(), initial_states)
    out, state = torch.ops.nanoaccel.selective_scan(*rows, heads, heads // int(inward.shape[2]))
    return (out if D is None else out + x * D.view(1, 1, -1, 1)), state


def _adjusted(step: Tensor, bias: Tensor | None, positive: bool) -> Tensor:
    """Steps of time with their bias, made positive where that is asked."""
    if bias is not None:
        step = step + bias
    return softplus(step) if positive else step


class DiagonalScan:
    """The scan of Mamba (Gu and Dao 2023), in which each cell of a state decays by itself.

    Functions of transformers are not told of the state that a text goes on from. Their callers ask
    a cache for it, just before.

    Attributes:
        cache: The cache that the model runs with.
    """

    def __init__(self) -> None:
        self.cache: StateCache | None = None

    def __call__(
        self,
        hidden_states: Tensor,
        dt: Tensor,
        A: Tensor,  # noqa: N803 (transformers passes them by these names)
        B: Tensor,  # noqa: N803
        C: Tensor,  # noqa: N803
        D: Tensor | None = None,  # noqa: N803
        z: Tensor | None = None,
        delta_bias: Tensor | None = None,
        delta_softplus: bool = False,
        **_: Any,
    ) -> tuple[Tensor, Tensor]:
        """Scan a text.

        Args:
            hidden_states: f32[B, H, T].
            dt: f32[B, H, T], the step of time.
            A: f32[H, N], what decays with it.
            B: f32[B, N, T], what is written of a token.
            C: f32[B, N, T], what is read for it.
            D: f32[H], what of a token goes past the state.
            z: f32[B, H, T], the gate of what is read.
            delta_bias: f32[H], added to the step.
            delta_softplus: Make the step positive.

        Returns:
            f32[B, H, T], and the state behind the last token.

        Raises:
            UnsupportedModelError: A layer has more than one such state.
        """
        state = None if self.cache is None else self.cache.asked
        if state is None or state.dim() != _DIAGONAL:
            raise UnsupportedModelError(
                "a layer of it scans with several states", "Use a model of another architecture"
            )
        x, step, inward, outward = (
            _fixed(one.transpose(1, 2)).float() for one in (hidden_states, dt, B, C)
        )
        step = _adjusted(step, delta_bias, delta_softplus)
        read, after = torch.ops.nanoaccel.diagonal_scan(A, step, inward, x, outward, state)
        out = read if D is None else read + x * D
        if z is not None:
            out = out * silu(z.transpose(1, 2))
        return out.transpose(1, 2), after


class _Turned:
    """A linear in the place of its weight, which a model multiplies itself, and of its bias.

    Args:
        linear: The linear, which adds its own bias.
    """

    bias = None

    def __init__(self, linear: torch.nn.Module) -> None:
        self._linear = linear

    @property
    def weight(self) -> _Turned:
        return self

    def __matmul__(self, x: Tensor) -> Tensor:
        found: Tensor = self._linear(x.transpose(-1, -2)).transpose(-1, -2)
        return found


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


_SCAN = "mamba_selective_scan"
_FINE_DELTA = "chunk_kimi_delta_attention"
# The linear of a scan's steps, of which models take the weight.
_STEPS = "dt_proj"

KERNELS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "torch_chunk_gated_delta_rule": gated_delta,
        _FINE_DELTA: gated_delta,
        "mamba2_chunk_scan": selective_scan,
        "causal_conv1d_fn": causal_convolution,
    }
)


def computes_recurrence(model: type[torch.nn.Module]) -> bool:
    """Whether the code of a model has what its recurrent layers call, in a form that is known.

    Args:
        model: Its class.
    """
    return "causal_conv1d_fn" in _names(model)


def decays_by_cell(model: type[torch.nn.Module]) -> bool:
    """Whether recurrent layers of a model have finer gates than OpenVINO's operators.

    Args:
        model: Its class.
    """
    return not _names(model).isdisjoint((_SCAN, _FINE_DELTA))


@contextmanager
def replaced(model: torch.nn.Module, scan: DiagonalScan) -> Iterator[None]:
    """While it lasts, the modules that a model is made of call these kernels.

    Only functions of a model's own code are replaced: of the Python modules that define its layers.

    Args:
        model: The model.
        scan: Computes Mamba's scans.
    """
    kernels = {**KERNELS, _SCAN: scan}
    with ExitStack() as stack:
        for home in _homes(type(module).__module__ for module in model.modules()):
            for name, kernel in kernels.items():
                if hasattr(home, name):
                    stack.callback(setattr, home, name, getattr(home, name))
                    setattr(home, name, kernel)
        for module in model.modules():
            linear = getattr(module, _STEPS, None)
            scans = hasattr(sys.modules[type(module).__module__], _SCAN)
            if scans and isinstance(linear, torch.nn.Linear):  # in front of the module of that name
                vars(module)[_STEPS] = _Turned(linear)
                stack.callback(vars(module).pop, _STEPS)
        yield


def _names(model: type[torch.nn.Module]) -> set[str]:
    """Names that the code of a model defines or imports."""
    homes = _homes(kind.__module__ for kind in model.__mro__)
    return {name for home in homes for name in vars(home)}


def _homes(names: Iterable[str]) -> list[ModuleType]:
    """The Python modules of models among these names."""
    found = {name for name in names if name.startswith("transformers.models.")}
    return [sys.modules[name] for name in sorted(found)]


def _fixed(x: Tensor) -> Tensor:
    """The same, with every size but sequences and tokens a number, as OpenVINO's passes ask for."""
    return x.reshape(x.shape[0], x.shape[1], *(int(size) for size in x.shape[2:]))


def _unit(x: Tensor) -> Tensor:
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)
