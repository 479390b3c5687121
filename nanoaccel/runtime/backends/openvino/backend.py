"""Loads a graph into OpenVINO and runs ragged steps on it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import openvino as ov

from nanoaccel.errors import BundleDamagedError, BundleError, ConfigError
from nanoaccel.runtime.backends.base import BackendInfo, BackendOptions
from nanoaccel.runtime.backends.openvino.paged_graph import LOGITS_ROWS, make_paged
from nanoaccel.runtime.plan import StepPlan, StepResult

_DEVICE = "CPU"
_BLOCK_SIZE = 32  # of PagedAttention in OpenVINO's CPU plugin
_CACHE_INPUTS = ("key_cache.", "value_cache.")


def load(options: BackendOptions) -> OpenVINOBackend:
    """Read, page and compile a graph.

    Raises:
        BundleDamagedError: OpenVINO cannot read the file.
        BundleError: The graph is not a text decoder with a key-value state.
        ConfigError: An option that this CPU cannot do.
    """
    core = ov.Core()
    try:
        with options.graph.open("rb") as file:
            if not file.read(64).lstrip().startswith(b"<"):
                raise ValueError("not XML")  # OpenVINO would try other formats, and print
        model = core.read_model(options.graph)
    except (RuntimeError, OSError, ValueError) as error:
        raise BundleDamagedError(
            f"OpenVINO cannot read {options.graph}", "Export the model again"
        ) from error
    if "logits" not in {name for value in model.outputs for name in value.names}:
        raise BundleError(f"{options.graph} has no output logits", "Export a text decoder")
    make_paged(model)
    capabilities = core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
    try:
        compiled = core.compile_model(model, _DEVICE, _properties(options, capabilities))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ConfigError(
            f"OpenVINO cannot compile {options.graph} with precision={options.precision!r} and "
            f"cache_precision={options.cache_precision!r}: {reason}",
            "Set both to 'auto', or export the model again",
        ) from error
    return OpenVINOBackend(compiled, core.get_property(_DEVICE, "FULL_DEVICE_NAME"))


def _properties(options: BackendOptions, capabilities: Sequence[str]) -> dict[str, object]:
    chosen: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY"}
    if "BF16" not in capabilities:
        # Without AVX-512, reading OpenVINO's default u8 cache costs more than its size saves:
        # a token after 1,500 others takes a fifth longer than with f16.
        chosen["KV_CACHE_PRECISION"] = "f16"
    if options.threads is not None:
        chosen["INFERENCE_NUM_THREADS"] = options.threads
    if options.weight_group_size is not None:
        chosen["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = options.weight_group_size
    if options.precision == "f32":
        chosen["INFERENCE_PRECISION_HINT"] = "f32"
        chosen["KV_CACHE_PRECISION"] = "f32"
        chosen["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = 0
    if options.cache_precision != "auto":
        chosen["KV_CACHE_PRECISION"] = options.cache_precision
    return chosen


class OpenVINOBackend:
    """A compiled graph, its cache and its one inference request; made by ``load``."""

    def __init__(self, compiled: ov.CompiledModel, device: str) -> None:
        self._request: ov.InferRequest | None = compiled.create_infer_request()
        self._inputs = {value.get_any_name(): place for place, value in enumerate(compiled.inputs)}
        self._caches = {
            self._inputs[value.get_any_name()]: value
            for value in compiled.inputs
            if value.get_any_name().startswith(_CACHE_INPUTS)
        }
        self._bound: dict[int, ov.Tensor] = {}
        vocabulary = compiled.output("logits").get_partial_shape()[-1].get_length()
        precision = next(iter(self._caches.values())).get_element_type().get_type_name()
        self.info = BackendInfo(
            name="openvino",
            device=device.strip(),
            vocab_size=vocabulary,
            block_size=_BLOCK_SIZE,
            bytes_per_block=self._bytes_per_block(),
            cache_precision=precision,
            threads=compiled.get_property("INFERENCE_NUM_THREADS"),
        )

    def allocate_cache(self, num_blocks: int) -> None:
        for place, value in self._caches.items():
            shape = ov.Shape([num_blocks, *_block_shape(value)])
            try:
                self._bound[place] = ov.Tensor(value.get_element_type(), shape)
            except (RuntimeError, MemoryError) as error:
                raise ConfigError(
                    f"{num_blocks * self.info.bytes_per_block} bytes of cache do not fit in memory",
                    "Lower kv_cache_memory",
                ) from error
            self._live_request.set_input_tensor(place, self._bound[place])

    def forward(self, plan: StepPlan) -> StepResult:
        context = np.array((plan.past_lens + np.diff(plan.seq_begins)).max(), np.int32)
        self._set("input_ids", plan.token_ids)
        self._set("position_ids", plan.positions)
        self._set("past_lens", plan.past_lens)
        self._set("subsequence_begins", plan.seq_begins)
        self._set("block_indices", plan.block_ids)
        self._set("block_indices_begins", plan.block_begins)
        self._set("max_context_len", context)
        self._set(LOGITS_ROWS, plan.logits_rows)
        self._live_request.infer(share_outputs=True)
        logits = self._live_request.get_output_tensor(0).data
        return StepResult(logits.reshape(len(plan.logits_rows), self.info.vocab_size))

    def close(self) -> None:
        self._bound.clear()
        self._request = None

    def _set(self, name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.integer]]) -> None:
        """Give the graph an input; one of the same shape as before is copied into its tensor."""
        place = self._inputs.get(name)
        if place is None:  # GPT-2 and others have no position_ids
            return
        bound = self._bound.get(place)
        if bound is not None and bound.data.shape == array.shape:
            bound.data[...] = array
            return
        self._bound[place] = ov.Tensor(array)
        self._live_request.set_input_tensor(place, self._bound[place])

    @property
    def _live_request(self) -> ov.InferRequest:
        assert self._request is not None, "the backend is closed"
        return self._request

    def _bytes_per_block(self) -> int:
        return sum(
            math.prod(_block_shape(value)) * value.get_element_type().bitwidth // 8
            for value in self._caches.values()
        )


def _block_shape(value: ov.Output) -> list[int]:
    return [dimension.get_length() for dimension in list(value.get_partial_shape())[1:]]
