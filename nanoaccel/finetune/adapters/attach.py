"""Puts a new adapter into a model; peft has the layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from nanoaccel.errors import ConfigError
from nanoaccel.finetune.train.options import TrainingOptions

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel

_ALL = "all-linear"


def attach(model: PreTrainedModel, options: TrainingOptions) -> LoraConfig:
    """Replace linear layers by ones with an adapter, in place; the rest is frozen.

    Args:
        model: The base.
        options: Method, rank, and which layers.

    Returns:
        The configuration, which peft writes as adapter_config.json.

    Raises:
        ConfigError: The model has no such layers.
    """
    from peft import LoraConfig, inject_adapter_in_model

    _check_names(model, options)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=options.rank,
        lora_alpha=options.scale_alpha,
        lora_dropout=options.dropout,
        target_modules=list(options.modules) or _ALL,
        layers_to_transform=list(options.layers) or None,
        use_rslora=options.method == "rslora",
        use_dora=options.method == "dora",
    )
    torch.manual_seed(options.seed)
    try:
        inject_adapter_in_model(config, model)
    except ValueError as error:
        raise ConfigError(
            f"peft cannot put an adapter into this model: {error}",
            "Choose other --modules or --layers",
        ) from error
    return config


def choose_layers(model: PreTrainedModel, layers: tuple[int, ...]) -> None:
    """Let only some blocks of a model learn; none means all of its weights.

    Raises:
        ConfigError: The model has no such blocks.
    """
    model.requires_grad_(not layers)
    if not layers:
        return
    blocks = _blocks(model)
    _check_layers(layers, len(blocks))
    for number in layers:
        blocks[number].requires_grad_()


def _blocks(model: PreTrainedModel) -> nn.ModuleList:
    lists = [one for one in model.modules() if isinstance(one, nn.ModuleList)]
    if not lists:
        raise ConfigError("the model has no list of blocks", "Leave --layers out")
    return max(lists, key=lambda one: sum(weight.numel() for weight in one.parameters()))


def _check_names(model: PreTrainedModel, options: TrainingOptions) -> None:
    if options.layers:
        _check_layers(options.layers, len(_blocks(model)))
    own = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    for name in options.modules:
        if name not in own:
            linear = {
                path.rsplit(".", 1)[-1]
                for path, module in model.named_modules()
                if isinstance(module, nn.Linear)
            }
            raise ConfigError(
                f"the model has no modules named {name!r}", f"It has {', '.join(sorted(linear))}"
            )


def _check_layers(layers: tuple[int, ...], count: int) -> None:
    wrong = [number for number in layers if not 0 <= number < count]
    if wrong:
        raise ConfigError(
            f"layers={wrong[0]} is out of range", f"The model has blocks 0 to {count - 1}"
        )
