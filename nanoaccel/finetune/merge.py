"""Puts adapters into a model's weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanoaccel.adapters.folder import Adapter, LowRank, read_adapter
from nanoaccel.errors import AdapterError, ConfigError
from nanoaccel.exporters.progress import Listener, Progress, Tell
from nanoaccel.exporters.publish import check_free, publishing
from nanoaccel.exporters.source import model_source
from nanoaccel.exporters.source.fingerprint import fingerprint
from nanoaccel.finetune.adapters.deltas import MergeOptions, combine, delta
from nanoaccel.finetune.model_folder import load_float, write_model

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

_MERGED = "nanoaccel_merged.json"


@dataclass(frozen=True, slots=True)
class Merged:
    """What was made.

    Args:
        folder: A model's folder.
        matrices: Matrices that were changed.
        notes: What the user should know.
    """

    folder: Path
    matrices: int
    notes: tuple[str, ...]


def merge(
    model: str,
    adapters: Sequence[Path],
    out: Path,
    options: MergeOptions | None = None,
    *,
    overwrite: bool = False,
    listener: Listener | None = None,
) -> Merged:
    """Put adapters into the weights of their base.

    Sums are made in f32 and rounded once, to the type that the base has.

    Args:
        model: Hub id, folder, .gguf file, or "sample".
        adapters: Folders in PEFT's format: LoRA, rsLoRA or DoRA.
        out: Folder of the model that is made.
        options: How several become one; None adds them up.
        overwrite: Whether what was merged to ``out`` before is replaced.
        listener: Told of each stage.

    Raises:
        ConfigError: There is not one weight for each adapter.
        AdapterError: An adapter is broken, or belongs to another base.
        SourceError: The model cannot be found or read.
        ExportError: Something else stands at ``out``, or the disk is full.
    """
    options = MergeOptions(weights=(1.0,) * len(adapters)) if options is None else options
    if len(options.weights) != len(adapters):
        raise ConfigError(
            f"there are {len(options.weights)} weights for {len(adapters)} adapters",
            "Give one for each",
        )
    out = out.resolve()
    check_free(out, overwrite, (_MERGED,))
    progress = Progress((lambda _: None) if listener is None else listener)
    source = model_source.resolve(model)
    with progress.stage("read the adapters"):
        read = [read_adapter(folder) for folder in adapters]
    with progress.stage("load the model"):
        base = load_float(source, "int8")
        notes = _check_base(base, read)
    with progress.stage("merge") as tell:
        matrices = _merge(base, read, options, tell)
    with (
        publishing(out, overwrite=overwrite, manifests=(_MERGED,)) as folder,
        progress.stage("write"),
    ):
        write_model(base, source, folder)
        (folder / _MERGED).write_text(_note(model, adapters, options), encoding="utf-8")
    return Merged(out, matrices, notes)


def _check_base(base: PreTrainedModel, adapters: Sequence[Adapter]) -> tuple[str, ...]:
    """Refuse adapters of another base; gives notes about those that do not say theirs."""
    found = fingerprint(base)
    notes = []
    for adapter in adapters:
        if adapter.base is None:
            notes.append(f"{adapter.folder} does not say which base it belongs to")
        elif adapter.base.fingerprint != found:
            raise AdapterError(
                f"{adapter.folder} was trained on another base, {adapter.base.id}",
                "Merge it into that one",
            )
        for path, low in adapter.modules.items():
            weight = _weight(base, path, adapter.folder)
            shape = (low.b.shape[0], low.a.shape[1])
            if tuple(_upright(weight, base, path).shape) != shape:
                raise AdapterError(
                    f"{adapter.folder} changes {path} as a matrix of {list(shape)}; "
                    f"the model's is {list(weight.shape)}",
                    "Use the model that it was trained on",
                )
    return tuple(notes)


def _merge(
    base: PreTrainedModel, adapters: Sequence[Adapter], options: MergeOptions, tell: Tell
) -> int:
    import torch

    torch.manual_seed(options.seed)
    paths = sorted({path for adapter in adapters for path in adapter.modules})
    with torch.no_grad():
        for number, path in enumerate(paths):
            pairs = [
                (adapter.modules[path], weight)
                for adapter, weight in zip(adapters, options.weights, strict=True)
                if path in adapter.modules
            ]
            _change(base, path, pairs, options)
            tell((number + 1) / len(paths))
    return len(paths)


def _change(
    base: PreTrainedModel,
    path: str,
    pairs: Sequence[tuple[LowRank, float]],
    options: MergeOptions,
) -> None:
    weight = _weight(base, path, Path())
    upright = _upright(weight, base, path)
    deltas = [delta(upright, low) for low, _ in pairs]
    change = combine(deltas, [share for _, share in pairs], options)
    upright.copy_(upright.float() + change)


def _weight(base: PreTrainedModel, path: str, folder: Path) -> Tensor:
    import torch

    try:
        module: nn.Module = base.get_submodule(path)
    except AttributeError as error:
        raise AdapterError(
            f"{folder} changes {path}, which the model has not",
            "Use the model that it was trained on",
        ) from error
    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.ndim != 2:
        raise AdapterError(
            f"{folder} changes {path}, which is no linear layer", "It cannot be used"
        )
    return weight


def _upright(weight: Tensor, base: PreTrainedModel, path: str) -> Tensor:
    """The matrix as [O, I]; GPT-2's layers have it lying."""
    from transformers.pytorch_utils import Conv1D

    module: Any = base.get_submodule(path)
    return weight.detach().T if isinstance(module, Conv1D) else weight.detach()


def _note(model: str, adapters: Sequence[Path], options: MergeOptions) -> str:
    facts = {
        "model": model,
        "adapters": [str(path) for path in adapters],
        "weights": list(options.weights),
        "how": options.how,
    }
    return json.dumps(facts, indent=2) + "\n"
