"""Measures how much rounding one part of a model changes its predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_EPSILON = 1e-9
_SMALLEST_GROUP = 16
_NUMBERS = 1 << 24  # of a matrix that are f32 at once


@dataclass(frozen=True, slots=True)
class Rounding:
    """Rounding to nearest integers.

    Args:
        bits: Bits of an integer, 2 to 8.
        group_size: Weights along the input that share a scale; -1 is a whole row. Where it does not
            divide them, it is the largest power of two that does, or else a whole row.
        symmetric: Whether integers are centered on zero.
    """

    bits: int
    group_size: int
    symmetric: bool

    def __call__(self, weight: torch.Tensor) -> torch.Tensor:
        """The rounded weights, of the same shape [outputs, inputs] and type."""
        import torch

        rounded = torch.empty_like(weight, memory_format=torch.contiguous_format)
        for rows in _some_rows(weight):
            rounded[rows] = self._round(weight[rows])
        return rounded

    def _round(self, weight: torch.Tensor) -> torch.Tensor:
        group = self._group(weight.shape[-1])
        groups = weight.float().reshape(*weight.shape[:-1], -1, group)
        if self.symmetric:
            most = 2 ** (self.bits - 1)
            scale = groups.abs().amax(-1, keepdim=True).clamp_min(_EPSILON) / (most - 1)
            rounded = (groups / scale).round().clamp(-most, most - 1) * scale
        else:
            low = groups.amin(-1, keepdim=True).clamp_max(0)
            high = groups.amax(-1, keepdim=True).clamp_min(0)
            scale = (high - low).clamp_min(_EPSILON) / (2**self.bits - 1)
            zero = (-low / scale).round()
            steps = ((groups / scale).round() + zero).clamp(0, 2**self.bits - 1)
            rounded = (steps - zero) * scale
        return rounded.reshape(weight.shape).to(weight.dtype)

    def _group(self, inputs: int) -> int:
        if self.group_size != -1 and inputs % self.group_size == 0:
            return self.group_size
        power = inputs & -inputs
        return power if _SMALLEST_GROUP <= power < self.group_size else inputs


def _some_rows(weight: torch.Tensor) -> Iterator[slice]:
    """Rows of a matrix [outputs, inputs], few enough to compute with in f32."""
    count = max(1, _NUMBERS // weight.shape[-1])
    for begin in range(0, weight.shape[0], count):
        yield slice(begin, begin + count)


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The effect of rounding one unit.

    Args:
        layers: Names of the modules, all of which read the same.
        kl: Divergence of the model when they alone are rounded, nats a token, with few bits.
        kl_backup: The same with the bits of the backup, from the ratio of the squared errors.
    """

    layers: tuple[str, ...]
    kl: float
    kl_backup: float


def measure_sensitivity(
    model: PreTrainedModel,
    windows: Sequence[NDArray[np.int64]],
    few: Rounding,
    backup: Rounding,
    tell: Callable[[float], None],
) -> list[Sensitivity]:
    """Round each unit of a model alone and measure how far its predictions move.

    A unit is a projection, or some that read the same input (q/k/v, gate/up), which are stored
    alike so that they can be one product; the embedding and the last projection are units too.
    Blocks before the unit are not run again: what they gave
    is kept.

    Args:
        model: With its original weights; it is as before when this ends.
        windows: Token windows of one length, i64[T].
        few: What is measured.
        backup: What it is compared with.
        tell: Called with the share that is done.
    """
    import torch

    tokens = torch.from_numpy(np.stack(windows))
    with torch.inference_mode():
        replay = _Replay(model)
        units, expected = replay.record(tokens)
        found = []
        for index, (block, names) in enumerate(units):
            modules = [model.get_submodule(name) for name in names]
            with _rounded(modules, few) as error, replay.from_block(block):
                kl = expected.divergence(model(tokens, use_cache=False).logits)
            with _rounded(modules, backup) as finer:
                share = finer / max(error, _EPSILON)
            found.append(Sensitivity(names, kl, kl * share))
            tell((index + 1) / len(units))
    return found


class _Expected:
    """Predictions to which others are compared.

    Args:
        logits: [B, T, V].
    """

    def __init__(self, logits: torch.Tensor) -> None:
        logs = logits.float().log_softmax(-1)
        self._chances = logs.exp()
        self._entropy = float((self._chances * logs).sum(-1).mean())

    def divergence(self, logits: torch.Tensor) -> float:
        """KL from these predictions to others, mean over positions."""
        import torch

        logits = logits.float()
        expected = torch.einsum("btv,btv->bt", self._chances, logits)
        found = self._entropy - float((expected - logits.logsumexp(-1)).mean())
        return max(0.0, found)  # rounding may make it a little less


class _Replay:
    """Runs a model from one of its blocks on, with what was recorded of those before."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._prefix, self._blocks = _find_blocks(model)
        self._outputs: list[Any] = []

    def record(self, tokens: torch.Tensor) -> tuple[list[tuple[int, tuple[str, ...]]], _Expected]:
        """Run the whole model once: its units with their blocks, and what it predicts."""
        inputs: dict[tuple[int, int], list[str]] = {}
        hooks = []
        kept: list[Any] = []  # so that no two inputs of a block have the same address

        def end_of_block(_: Any, __: Any, output: Any) -> None:
            self._outputs.append(output)
            kept.clear()

        for index, block in enumerate(self._blocks):
            hooks.append(block.register_forward_hook(end_of_block))
            for name, module in block.named_modules():
                if not _is_projection(module):
                    continue
                full = f"{self._prefix}.{index}.{name}"

                def note(_: Any, given: Any, full: str = full, index: int = index) -> None:
                    kept.append(given[0])
                    inputs.setdefault((index, id(given[0])), []).append(full)

                hooks.append(module.register_forward_pre_hook(note))
        try:
            logits = self._model(tokens, use_cache=False).logits
        finally:
            for hook in hooks:
                hook.remove()
        units = [(index, tuple(names)) for (index, _), names in inputs.items()]
        return [*units, *self._ends()], _Expected(logits)

    def _ends(self) -> list[tuple[int, tuple[str, ...]]]:
        """The embedding and the last projection, one unit where they share their weights."""
        names = {id(module): name for name, module in self._model.named_modules()}
        first, last = self._model.get_input_embeddings(), self._model.get_output_embeddings()
        if last is None:
            return [(0, (names[id(first)],))]
        if last.weight is first.weight:
            return [(0, (names[id(last)],))]
        return [(len(self._blocks), (names[id(last)],)), (0, (names[id(first)],))]

    @contextmanager
    def from_block(self, first: int) -> Iterator[None]:
        """Inside, blocks before ``first`` give what they gave when it was recorded."""
        for index in range(first):
            self._blocks[index].forward = lambda *_, output=self._outputs[index], **__: output
        try:
            yield
        finally:
            for index in range(first):
                del self._blocks[index].forward


@contextmanager
def _rounded(modules: Sequence[Any], rounding: Rounding) -> Iterator[float]:
    """Inside, the modules' weights are rounded; gives the sum of squared errors."""
    originals = [module.weight.data for module in modules]
    error = 0.0
    try:
        for module, original in zip(modules, originals, strict=True):
            transposed = _is_transposed(module)
            rounded = rounding(original.T if transposed else original)
            module.weight.data = rounded.T if transposed else rounded
            error += _squared_error(module.weight.data, original)
        yield error
    finally:
        for module, original in zip(modules, originals, strict=True):
            module.weight.data = original


def _squared_error(rounded: torch.Tensor, original: torch.Tensor) -> float:
    """Sum over all numbers of two matrices."""
    return sum(
        float((rounded[rows].float() - original[rows].float()).square().sum())
        for rows in _some_rows(original)
    )


def _find_blocks(model: PreTrainedModel) -> tuple[str, Sequence[Any]]:
    """The longest list of modules that is in no other, a language model's blocks, and its name."""
    import torch

    lists: dict[str, Any] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{other}.") for other in lists)
        if isinstance(module, torch.nn.ModuleList) and not inside:
            lists[name] = module
    name = max(lists, key=lambda name: len(lists[name]))
    return name, lists[name]


def _is_projection(module: Any) -> bool:
    import torch

    weight = getattr(module, "weight", None)
    return isinstance(module, torch.nn.Linear) or (
        _is_transposed(module) and weight is not None and weight.ndim == 2
    )


def _is_transposed(module: Any) -> bool:
    """GPT-2 keeps its weights as [inputs, outputs]."""
    return type(module).__name__ == "Conv1D"
