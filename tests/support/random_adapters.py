"""Random adapters: PEFT's around a torch model, and updates for a backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nanoaccel.runtime.types.low_rank import LowRankUpdate

_PREFIX = "base_model.model."


def peft_model(model: Any, rank: int, targets: str | list[str] = "all-linear") -> Any:
    """A model with an adapter by PEFT that changes what it says."""
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, task_type="CAUSAL_LM")
    made = get_peft_model(model, config).eval()
    torch.manual_seed(rank)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "lora_B" in name:  # which begins at zero
                weight.normal_(0, 0.05)
    return made


def updates_of(model: Any) -> dict[str, LowRankUpdate]:
    """What PEFT's adapter adds, by the name of the module in the original."""
    found = {}
    for name, module in model.named_modules():
        if not hasattr(module, "lora_A") or "default" not in module.lora_A:
            continue
        down, up = (getattr(module, part)["default"].weight for part in ("lora_A", "lora_B"))
        scaled = up * module.scaling["default"]
        arrays = (numbers.detach().float().numpy().copy() for numbers in (down, scaled))
        found[name.removeprefix(_PREFIX)] = LowRankUpdate(*arrays)
    return found


def random_updates(
    modules: Mapping[str, tuple[int, int]], rank: int, seed: int
) -> dict[str, LowRankUpdate]:
    """Updates of about half of the modules."""
    random = np.random.default_rng(seed)
    return {
        name: LowRankUpdate(
            random.normal(0, inputs**-0.5, (rank, inputs)).astype(np.float32),
            random.normal(0, 0.1, (outputs, rank)).astype(np.float32),
        )
        for name, (outputs, inputs) in modules.items()
        if random.random() < 0.5
    }
