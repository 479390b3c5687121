"""Compiles the layers of a model with what torch.compile offers; the rest stays as it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from nanoaccel.errors import ConfigError
from nanoaccel.exporters.quiet import quiet
from nanoaccel.folders import cache_folder
from nanoaccel.reference.network import Network
from nanoaccel.runtime.cpu.machine import cpu_name
from nanoaccel.runtime.cpu.runtimes import openvino_properties
from nanoaccel.runtime.cpu.workload import ThreadPlan

INDUCTOR = "torch-inductor"
OPENVINO = "torch-openvino"
# OpenVINO compiles for each size of a pass, so passes are padded to these.
PADDED_SIZES = (1, 16, 128)


def compile_layers(network: Network, name: str, plan: ThreadPlan) -> None:
    """Let the decoder layers of a network be compiled when they first run.

    Args:
        network: Network whose layers are replaced.
        name: ``INDUCTOR`` or ``OPENVINO``.
        plan: Threads and precision.

    Raises:
        ConfigError: There is no C++ compiler for inductor.
    """
    if name == INDUCTOR:
        _check_compiler()
        # Torch has no other way to say where; what the user said stays.
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(_cache()))
        options: dict[str, Any] = {"backend": "inductor", "dynamic": True}
    else:
        with quiet():
            import openvino.torch  # noqa: F401, which adds the backend
        # Weights are constants with aot_autograd only. Its cache of models is of no use: the name
        # of a file says nothing of the weights.
        chosen = {"aot_autograd": True, "config": openvino_properties(plan)}
        options = {"backend": "openvino", "dynamic": False, "options": chosen}
    for layer in network.decoders:
        if name == INDUCTOR:
            layer.forward = torch.compile(layer.forward, **options)
        else:
            compiled = torch.compile(_copy_of(layer.forward), **options)
            layer.forward = _unless_long(compiled, layer.forward)


def _unless_long(compiled: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    """A layer that runs compiled for the sizes that passes are padded to; others are rare."""

    def run(states: Tensor, *more: Any, **named: Any) -> Any:
        chosen = compiled if states.shape[1] <= PADDED_SIZES[-1] else plain
        return chosen(states, *more, **named)

    return run


def _copy_of(method: Any) -> Any:
    """The same method with code of its own: torch counts how often one code is compiled."""
    function = method.__func__
    copy = FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy.__get__(method.__self__)


def _check_compiler() -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise ConfigError(
            f"backend={INDUCTOR!r} compiles with a C++ compiler, and there is none",
            "Install g++, name another in the environment's CXX, or set backend='torch'",
        ) from error


def _cache() -> Path:
    """Where compiled code for this CPU is kept."""
    return cache_folder() / f"inductor-{sha256(cpu_name().encode()).hexdigest()[:12]}"
