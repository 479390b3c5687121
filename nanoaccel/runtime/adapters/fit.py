"""Fits an adapter to the matrices of a graph, or says why it does not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nanoaccel.adapters.folder import Adapter, LowRank
from nanoaccel.errors import AdapterError
from nanoaccel.registry import did_you_mean
from nanoaccel.runtime.types.low_rank import LowRankUpdate

# Matrices that are one in some models and several in others, one below the other.
_PARTS = {
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
}
# A model that also sees has its text's modules below another name than its text alone.
_OUTER = ("model", "language_model", "text_model")


def fit(adapter: Adapter, adaptable: Mapping[str, tuple[int, int]]) -> dict[str, LowRankUpdate]:
    """The updates under the names of a backend.

    Args:
        adapter: As it was read.
        adaptable: As of ``AdapterHolder``.

    Raises:
        AdapterError: It changes modules that the model has not, or of another shape, or is DoRA.
    """
    by_end = {_end(name): name for name in adaptable}
    found: dict[str, LowRankUpdate] = {}
    for module, low in adapter.modules.items():
        update = _update(adapter, low)
        for name, part in _parts(module, update, adaptable, by_end).items():
            known = name if name in adaptable else by_end.get(_end(name))
            if known is None:
                raise _unknown(adapter, module, adaptable)
            _check_shape(adapter, module, part, adaptable[known])
            found[known] = part
    return found


def _update(adapter: Adapter, low: LowRank) -> LowRankUpdate:
    if low.magnitude is not None:
        raise AdapterError(
            f"{adapter.folder} is DoRA, which is not computed beside its base",
            "Merge it instead: nanoaccel merge MODEL ADAPTER OUT, and export that",
        )
    return LowRankUpdate(low.a, low.b * np.float32(low.scale))


def _parts(
    module: str,
    update: LowRankUpdate,
    adaptable: Mapping[str, tuple[int, int]],
    by_end: Mapping[str, str],
) -> dict[str, LowRankUpdate]:
    """An update of several matrices that are one in the adapter's base, cut; else as it is."""
    before, _, last = module.rpartition(".")
    if module in adaptable or _end(module) in by_end or last not in _PARTS:
        return {module: update}
    names = [f"{before}.{part}" for part in _PARTS[last]]
    known = [by_end.get(_end(name)) for name in names]
    outputs = [adaptable[name][0] for name in known if name is not None]
    if len(outputs) < len(names) or sum(outputs) != len(update.up):
        return {module: update}
    ends = np.cumsum(outputs)[:-1]
    return {
        name: LowRankUpdate(update.down, up)
        for name, up in zip(names, np.split(update.up, ends), strict=True)
    }


def _end(name: str) -> str:
    """The name without what stands around the text model."""
    parts = name.split(".")
    while len(parts) > 1 and parts[0] in _OUTER:
        parts = parts[1:]
    return ".".join(parts)


def _check_shape(
    adapter: Adapter, module: str, update: LowRankUpdate, shape: tuple[int, int]
) -> None:
    own = (len(update.up), update.down.shape[1])
    if own != shape:
        raise AdapterError(
            f"{adapter.folder} adapts {module} of {own[0]} x {own[1]}; this model's has "
            f"{shape[0]} x {shape[1]}",
            _use_its_base(adapter),
        )


def _unknown(
    adapter: Adapter, module: str, adaptable: Mapping[str, tuple[int, int]]
) -> AdapterError:
    own = {name.rpartition(".")[2] for name in adaptable}
    last = module.rpartition(".")[2]
    remedy = _use_its_base(adapter) if last in own else did_you_mean(last, sorted(own))
    return AdapterError(
        f"{adapter.folder} adapts {module}, and this model has no such module that can be adapted",
        remedy,
    )


def _use_its_base(adapter: Adapter) -> str:
    name = adapter.base_name
    base = "the model that it was trained on" if name is None else repr(name)
    return f"It belongs to {base}: use it with that"
