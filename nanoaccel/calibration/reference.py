"""What the original model predicts over a text, kept small.

Log-probabilities of 16,000 tokens over 50,000 words would take gigabytes. The states that the last
projection reads take megabytes, and give them back as exactly as the model computes; so states and
projection are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.calibration.metrics import Fidelity, FidelityMeter
from nanoaccel.folders import cache_folder, whole_file

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Logits = Callable[[NDArray[np.int64]], NDArray[np.float32]]

_TOLERANCE = 1e-4  # of logits in f32 that the projection gives, and the model
_NAME = "nanoaccel.text"
_WORDS = 8192  # rows of a projection that are f32 at once
_TOGETHER = 1024  # tokens of windows that are run at once
_COMPARED = 64  # tokens by which the projection is recognised


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """From states to logits: ``cap * tanh((states @ weight.T + bias) * scale / cap)``.

    Args:
        weight: [V, H].
        bias: [V], or None.
        scale: As Granite and Cohere have it.
        cap: As Gemma 2 has it; None without.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None = None
    scale: float = 1.0
    cap: float | None = None

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Logits f32[T, V] of states [T, H]."""
        import torch

        wide = states.float()
        logits = torch.empty(len(states), len(self.weight))
        for begin in range(0, len(self.weight), _WORDS):
            words = slice(begin, begin + _WORDS)
            torch.matmul(wide, self.weight[words].float().T, out=logits[:, words])
        if self.bias is not None:
            logits += self.bias.float()
        if self.scale != 1.0:
            logits *= self.scale
        return logits if self.cap is None else self.cap * (logits / self.cap).tanh()


@dataclass(frozen=True, slots=True)
class Reference:
    """The original's predictions over windows of text.

    Args:
        text: What the text is.
        windows: i64[T] each.
        states: [T, H] each, in the model's own type; f32[T, V], logits themselves, where there is
            no projection.
        projection: From states to logits; None where the model does something else with them.
    """

    text: str
    windows: Sequence[NDArray[np.int64]]
    states: Sequence[torch.Tensor]
    projection: Projection | None

    @property
    def vocab_size(self) -> int:
        """Width of a row of logits."""
        last = self.states[0].shape[1] if self.projection is None else len(self.projection.weight)
        return int(last)

    def logits(self, index: int) -> NDArray[np.float32]:
        """Logits f32[T, V] over a window."""
        states = self.states[index]
        logits = states if self.projection is None else self.projection(states)
        found: NDArray[np.float32] = logits.float().numpy()
        return found

    def judge(
        self, logits: Logits, most: int | None = None, tell: Callable[[float], None] | None = None
    ) -> Fidelity:
        """Compare a model with the original.

        Args:
            logits: Function that gives its logits f32[T, V] over tokens i64[T].
            most: Windows to compare; None is all.
            tell: Called with the share that is done.
        """
        meter = FidelityMeter()
        windows = self.windows[:most]
        for index, window in enumerate(windows):
            meter.add(logits(window), self.logits(index), window)
            if tell is not None:
                tell((index + 1) / len(windows))
        return meter.result(self.text)

    def save(self, path: Path) -> None:
        """Write it to a file that appears whole; nothing is written without a projection.

        Raises:
            OSError: It cannot be written.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        if self.projection is None:
            return
        tensors = {"weight": self.projection.weight.contiguous()}
        if self.projection.bias is not None:
            tensors["bias"] = self.projection.bias
        for index, states in enumerate(self.states):
            tensors[f"states.{index}"] = states
        about = {
            _NAME: self.text,
            "scale": repr(self.projection.scale),
            "cap": repr(self.projection.cap),
        }
        with whole_file(path) as partial:
            try:
                save_file(tensors, partial, metadata=about)
            except SafetensorError as error:  # so it calls a full disk, too
                raise OSError(str(error)) from error

    @classmethod
    def load(cls, path: Path, windows: Sequence[NDArray[np.int64]]) -> Reference | None:
        """Read a file; None when there is none, or it is damaged, or of other windows."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:  # type: ignore[no-untyped-call, unused-ignore]
                about = file.metadata()
                states = [file.get_tensor(f"states.{index}") for index in range(len(windows))]
                if [len(part) for part in states] != [len(window) for window in windows]:
                    return None
                bias = file.get_tensor("bias") if "bias" in file.keys() else None  # noqa: SIM118
                cap = None if about["cap"] == "None" else float(about["cap"])
                weight = file.get_tensor("weight")
                projection = Projection(
                    weight=weight, bias=bias, scale=float(about["scale"]), cap=cap
                )
                return cls(about[_NAME], windows, states, projection)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None


def reference_path(original: str, dtype: str, windows: str) -> Path:
    """Where the predictions of a model over a text are kept.

    Args:
        original: Names the model, all that it computes with, and the versions that it runs in.
        dtype: What it computed in, as torch names it: rounding is part of what it predicts.
        windows: Digest of the text's windows.
    """
    name = f"{original[:32]}-{dtype.removeprefix('torch.')}-{windows[:32]}.safetensors"
    return cache_folder() / "references" / name


def record(
    model: PreTrainedModel,
    text: str,
    windows: Sequence[NDArray[np.int64]],
    tell: Callable[[float], None],
    together: int | None = None,
) -> Reference:
    """Run the original over windows.

    The weights of a model that was loaded from safetensors are mapped, and the system reads them
    as they are used. Where they do not fit into memory, windows go through each layer together, so
    that each is read once.

    Args:
        model: The original.
        text: What the text is.
        windows: i64[T] each.
        tell: Called with the share that is done.
        together: Windows that are run at once; None is a few, or all where the model does not fit.
    """
    import torch

    if together is None:
        few = max(1, _TOGETHER // max(map(len, windows)))
        together = few if _fits(model) else len(windows)
    states: list[torch.Tensor] = []
    projection: Projection | None = None
    with torch.inference_mode():
        for batch in _batches(windows, together):
            tokens = torch.from_numpy(np.stack(batch))
            if not states:
                projection = _find_projection(model, tokens[:1])
            if projection is None:
                states += model(tokens, use_cache=False).logits.float()
            else:
                states += model.base_model(tokens, use_cache=False).last_hidden_state
            tell(len(states) / len(windows))
    return Reference(text, windows, states, projection)


def _fits(model: PreTrainedModel) -> bool:
    """Whether the weights of a model fit into memory, those included that are there already."""
    import psutil

    size = sum(int(weight.nbytes) for weight in model.parameters())
    return bool(size < psutil.virtual_memory().available)


def _batches(
    windows: Sequence[NDArray[np.int64]], together: int
) -> Iterator[Sequence[NDArray[np.int64]]]:
    """Windows in their order, some of one length at a time."""
    begin = 0
    for index in range(1, len(windows) + 1):
        same = index < len(windows) and len(windows[index]) == len(windows[begin])
        if not same or index - begin == together:
            yield windows[begin:index]
            begin = index


def _find_projection(model: PreTrainedModel, tokens: torch.Tensor) -> Projection | None:
    """How the model makes logits of what its last layer gives for tokens i64[1, T]."""
    caught: list[Any] = []
    if model.base_model is model:
        return None
    hook = model.base_model.register_forward_hook(lambda _, __, output: caught.append(output))
    try:
        logits = model(tokens, use_cache=False).logits
    finally:
        hook.remove()
    last = getattr(caught[-1], "last_hidden_state", None) if caught else None
    if last is None:
        return None
    return _projection(model, last[0, -_COMPARED:], logits[0, -_COMPARED:].float())


def _projection(
    model: PreTrainedModel, states: torch.Tensor, logits: torch.Tensor
) -> Projection | None:
    """How a model makes logits f32[T, V] of states, if by a product and what is known to follow.

    The weights are the model's own, and not copied.
    """
    import torch

    head: Any = model.get_output_embeddings()
    if head is None:
        return None
    bias = getattr(head, "bias", None)
    found = Projection(weight=head.weight.detach(), bias=None if bias is None else bias.detach())
    config = model.config
    scales = [1.0]
    if getattr(config, "logits_scaling", None):
        scales.append(1 / config.logits_scaling)
    if getattr(config, "logit_scale", None):
        scales.append(config.logit_scale)
    cap = getattr(config, "final_logit_softcapping", None)
    tolerance = max(_TOLERANCE, 2 * torch.finfo(states.dtype).eps) * float(logits.abs().max())
    for scale in scales:
        tried = replace(found, scale=float(scale), cap=None if cap is None else float(cap))
        if torch.allclose(tried(states), logits, atol=tolerance):
            return tried
    return None
