"""Runs ragged steps of a Hugging Face model with torch, as it is or compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import transformers

from nanoaccel.errors import ConfigError
from nanoaccel.reference import layers as look
from nanoaccel.reference.attention import Part
from nanoaccel.reference.checkpoint import load_model
from nanoaccel.reference.compiling import INDUCTOR, OPENVINO, PADDED_SIZES, compile_layers
from nanoaccel.reference.network import Network
from nanoaccel.reference.operator_times import OperatorTimes
from nanoaccel.runtime.backends import BackendInfo, BackendOptions
from nanoaccel.runtime.backends.slots import CacheTensor, SlotMemory, Slotted
from nanoaccel.runtime.backends.timed import Timed
from nanoaccel.runtime.cpu.machine import cpu_name
from nanoaccel.runtime.cpu.runtimes import apply_to_torch
from nanoaccel.runtime.cpu.threads import plan_here
from nanoaccel.runtime.cpu.workload import ThreadPlan, Workload
from nanoaccel.runtime.types.plan import StepPlan, StepResult

EAGER = "torch"
_BLOCK_SIZE = 32
# numpy has no bf16: its bits are kept as those of another type.
_STORED: Mapping[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.bfloat16: np.dtype(np.int16),
}
# Between rows of a pass with the same tokens, in parts of the largest logit.
_ROUNDING, _SMALL_ROUNDING = 0.1, 1e-3
_NAMES = {torch.float32: "f32", torch.bfloat16: "bf16"}


def load(options: BackendOptions) -> TorchBackend:
    """Load a model that torch runs operator by operator.

    Raises:
        BundleError: The file is no model's config.json, or a layer that a head reads is missing.
        BundleDamagedError: Weights are missing or cannot be read.
        UnsupportedModelError: The model does what is not known to be exact.
        ConfigError: An option that torch cannot do.
    """
    return _load(options, EAGER)


def load_inductor(options: BackendOptions) -> TorchBackend:
    """Load a model whose layers torch compiles with a C++ compiler; the first time takes longer.

    Raises:
        NanoAccelError: As ``load``; a missing compiler is a ConfigError.
    """
    return _load(options, INDUCTOR)


def load_openvino(options: BackendOptions) -> TorchBackend:
    """Load a model whose layers OpenVINO compiles for torch, for each size of a pass.

    Raises:
        NanoAccelError: As ``load``.
    """
    return _load(options, OPENVINO)


def _load(options: BackendOptions, name: str) -> TorchBackend:
    if options.attention_scores:
        raise ConfigError(
            "torch tells no attention scores",
            "Evict by='position', or export the model for OpenVINO",
        )
    plan = plan_here(
        Workload(role=options.role, threads=options.threads, precision=options.precision)
    )
    # OpenVINO takes f32 from torch, and rounds it itself.
    narrow = plan.precision == "bf16" and name != OPENVINO
    dtype = torch.bfloat16 if narrow else torch.float32
    if options.cache_precision not in ("auto", _NAMES[dtype]):
        raise ConfigError(
            f"cache_precision={options.cache_precision!r} cannot be had with torch, which computes "
            f"in {_NAMES[dtype]} here",
            "Set it to 'auto'",
        )
    apply_to_torch(plan, torch)
    network = Network(load_model(options.graph, dtype, look.NAME), options)
    if name != EAGER:
        compile_layers(network, name, plan)
    network.check_apart(_ROUNDING if plan.precision == "bf16" else _SMALL_ROUNDING)
    times = OperatorTimes(network, compiled=name != EAGER) if options.profile else None
    return TorchBackend(network, plan, name, times)


class TorchBackend(Timed, Slotted):
    """A model and its cache; made by ``load``."""

    def __init__(
        self, network: Network, plan: ThreadPlan, name: str, times: OperatorTimes | None
    ) -> None:
        kinds = [
            CacheTensor(layer.key_heads, width, _STORED[network.dtype])
            for layer in network.layers
            for width in (layer.key_width, layer.value_width)
        ]
        super().__init__(kinds, _BLOCK_SIZE)
        self._network: Network | None = network
        self._plan = plan
        self._times = times
        precision = _NAMES[network.dtype]
        shapes = ", ".join(f"[{kind.heads},{kind.width}]" for kind in kinds)
        self.info = BackendInfo(
            name=name,
            device=cpu_name(),
            vocab_size=network.vocab_size,
            block_size=_BLOCK_SIZE,
            bytes_per_block=self.memory_per_block,
            cache_precision=precision,
            threads=plan.threads,
            cache_layout=f"{name} {torch.__version__}, transformers {transformers.__version__}, "
            f"computes {plan.precision}, {precision}, {_BLOCK_SIZE} x {shapes}",
            state_size=network.state_size,
            pass_sizes=PADDED_SIZES if name == OPENVINO else (),
        )

    def _bind(self, memory: SlotMemory) -> None:
        assert self._network is not None, "the backend is closed"
        self._network.bind(memory.tensors)

    def _run(self, plan: StepPlan, slots: Sequence[int]) -> StepResult:
        assert self._network is not None, "the backend is closed"
        if torch.get_num_threads() != self._plan.threads:  # torch has one number for all models
            apply_to_torch(self._plan, torch)
        begins = plan.seq_begins.tolist()
        parts = [
            Part(*fields)
            for fields in zip(begins[:-1], begins[1:], slots, plan.past_lens.tolist(), strict=True)
        ]
        size = max(plan.num_computed, self.info.pass_size(len(plan.token_ids)))
        return self._network.run(plan, parts, size)

    def close(self) -> None:
        self._network = self._table = self._bound = None
