"""Loading of a small model whose files a test has damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.source.model_source import load, resolve

SMALL = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48}


def loaded(folder: Path) -> Any:
    with quiet():
        return load(resolve(str(folder)), "f32")[0]


def logits(model: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model(torch.arange(3, 19)[None]).logits
