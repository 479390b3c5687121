"""``adapter_config.json``: what PEFT says of an adapter."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanoaccel.errors import AdapterError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
NOTE = "nanoaccel_adapter.json"
BY_PEFT = "Merge it into its base with peft, and export that"
# What an adapter may hold or do beyond low-rank updates of linear layers.
_BEYOND = {
    "lora_bias": "biases of its own",
    "modules_to_save": "whole modules (modules_to_save)",
    "trainable_token_indices": "embeddings of tokens (trainable_token_indices)",
    "target_parameters": "parameters outside of linear layers (target_parameters)",
    "alora_invocation_tokens": "a beginning in the middle of the text (aLoRA)",
    "layer_replication": "layers that are repeated (layer_replication)",
    "use_qalora": "QA-LoRA",
    "use_bdlora": "block-diagonal matrices (BD-LoRA)",
    "arrow_config": "routing (Arrow)",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
}
# Other ways to begin change the base's weights too.
_PLAIN_BEGINNINGS = (None, True, False, "gaussian", "orthogonal", "eva")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeftConfig:
    """What is read of the configuration.

    Args:
        folder: The adapter's.
        rank: Rank, where no pattern says otherwise.
        alpha: Numerator of the scaling, where no pattern says otherwise.
        rank_pattern: Rank by regular expression that matches the end of a module's path.
        alpha_pattern: The same of alpha.
        root: Whether the scaling is divided by the root of the rank (rsLoRA, arXiv 2312.03732).
        dora: Whether rows have lengths of their own (DoRA, arXiv 2402.09353).
        base: Name or path of the base; None where it is not said.
    """

    folder: Path
    rank: int
    alpha: float
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    root: bool
    dora: bool
    base: str | None

    @classmethod
    def parse(cls, text: bytes, folder: Path) -> PeftConfig:
        """Read a configuration.

        Args:
            text: What stands in the file.
            folder: Where it is.

        Raises:
            AdapterError: It is no JSON, or not of a LoRA, rsLoRA or DoRA adapter.
        """
        try:
            config = json.loads(text)
            kind = config.get("peft_type")
        except (ValueError, AttributeError) as error:
            raise AdapterError(
                f"{folder / CONFIG} is not a configuration of PEFT", "Save the adapter again"
            ) from error
        if kind != "LORA":
            raise AdapterError(f"{folder} is an adapter of the kind {kind!r}", BY_PEFT)
        _check_plain(config, folder)
        try:
            rank = int(config.get("r", 8))
            return cls(
                folder=folder,
                rank=rank,
                alpha=float(config.get("lora_alpha", 8)),
                rank_pattern={k: int(v) for k, v in (config.get("rank_pattern") or {}).items()},
                alpha_pattern={k: float(v) for k, v in (config.get("alpha_pattern") or {}).items()},
                root=bool(config.get("use_rslora")),
                dora=bool(config.get("use_dora")),
                base=config.get("base_model_name_or_path") or None,
            )
        except (TypeError, ValueError, AttributeError) as error:
            raise AdapterError(
                f"{folder / CONFIG} has a value of the wrong type: {error}",
                "Save the adapter again",
            ) from error

    def rank_of(self, module: str) -> int:
        """The rank of a module's update."""
        return int(_by_pattern(self.rank_pattern, module, self.rank))

    def scaling(self, module: str, rank: int) -> float:
        """The factor of a module's update."""
        alpha = _by_pattern(self.alpha_pattern, module, self.alpha)
        return alpha / (math.sqrt(rank) if self.root else rank)


def _by_pattern(patterns: Mapping[str, float], module: str, default: float) -> float:
    """The value of the first pattern that matches, as peft does it."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _check_plain(config: Mapping[str, Any], folder: Path) -> None:
    for name, what in _BEYOND.items():
        if config.get(name):
            raise AdapterError(f"{folder} has {what}, which NanoAccel does not compute", BY_PEFT)
    if config.get("bias", "none") != "none":
        raise AdapterError(f"{folder} has biases of its own (bias={config['bias']!r})", BY_PEFT)
    beginning = config.get("init_lora_weights")
    if beginning not in _PLAIN_BEGINNINGS:
        raise AdapterError(
            f"{folder} began with init_lora_weights={beginning!r}, which changes the base too",
            "Convert it as peft's documentation of that method says, or merge it with peft",
        )
