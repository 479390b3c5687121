"""Writes an adapter's folder: PEFT's two files, and beside them which base it belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.adapters.folder import BaseNote
from nanoaccel.adapters.peft_config import NOTE, WEIGHTS

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import Tensor
    from transformers import PreTrainedModel

_PREFIX = "base_model.model."


def write_adapter(
    folder: Path,
    model: PreTrainedModel,
    config: LoraConfig,
    values: Mapping[str, Tensor],
    base: BaseNote,
) -> None:
    """Write an adapter.

    Args:
        folder: Stands already.
        model: With peft's layers in it.
        config: As of ``attach``.
        values: The adapter's weights by their names in the model.
        base: What it was trained on.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    tensors = get_peft_model_state_dict(model, dict(values), save_embedding_layers=False)
    save_file(
        {f"{_PREFIX}{name}": tensor.contiguous() for name, tensor in tensors.items()},
        folder / WEIGHTS,
        metadata={"format": "pt"},
    )
    config.base_model_name_or_path = base.id
    config.revision = base.revision
    config.inference_mode = True
    config.save_pretrained(folder)
    note = {
        "base": {"id": base.id, "revision": base.revision, "fingerprint": base.fingerprint},
        "training": dict(base.training),
    }
    (folder / NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
