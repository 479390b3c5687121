"""A student: a few layers of the target, trained to predict what the whole target does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nanoaccel.errors import ConfigError
from nanoaccel.finetune.drafts.batches import Batch
from nanoaccel.finetune.drafts.draft_module import DraftModule

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Student(DraftModule):
    """A pruned model. It keeps layers evenly spread, the first and the last among them.

    Args:
        model: The target; it is changed.
        num_layers: Layers to keep.

    Raises:
        ConfigError: It has fewer, or they are not in one list as those of decoders are.
    """

    rate = 2e-4

    def __init__(self, model: PreTrainedModel, num_layers: int) -> None:
        super().__init__()
        self.model = model.float()
        layers = _layers(model)
        if not 2 <= num_layers < len(layers):
            raise ConfigError(
                f"layers={num_layers} is out of range",
                f"The target has {len(layers)}: keep at least 2 and fewer than all",
            )
        kept = torch.linspace(0, len(layers) - 1, num_layers).round().long().tolist()
        model.get_decoder().layers = nn.ModuleList(layers[index] for index in kept)
        for index, layer in enumerate(model.get_decoder().layers):
            layer.self_attn.layer_idx = index  # its place in the cache
        _shorten(model.config, kept)

    def states(self, batch: Batch, depth: int) -> Iterator[Tensor]:
        tokens = torch.cat([batch.first[:, None], batch.tokens], -1)
        known = self.model.get_decoder()(input_ids=tokens, use_cache=False).last_hidden_state
        for _ in range(depth):
            yield known[:, 1:]

    def logits(self, x: Tensor) -> Tensor:
        found: Tensor = self.model.get_output_embeddings()(x)
        return found

    def save(self, folder: Path) -> None:
        """Write it as a model that can be exported; its tokenizer is the target's."""
        self.model.eval().save_pretrained(folder)


def _layers(model: PreTrainedModel) -> nn.ModuleList:
    layers = getattr(model.get_decoder(), "layers", None)
    if not isinstance(layers, nn.ModuleList) or not hasattr(layers[0], "self_attn"):
        raise ConfigError(
            f"{model.config.model_type!r} has no list of layers to choose from",
            "Train a head instead: --kind head",
        )
    return layers


def _shorten(config: object, kept: list[int]) -> None:
    """Let a config describe the layers that were kept."""
    config.num_hidden_layers = len(kept)  # type: ignore[attr-defined]
    types = getattr(config, "layer_types", None)
    if types is not None:
        config.layer_types = [types[index] for index in kept]  # type: ignore[attr-defined]
