"""Puts a new adapter into a model; peft has the layers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from nanoaccel.adapters.peft_config import PeftConfig
from nanoaccel.errors import AdapterError, ConfigError
from nanoaccel.finetune.adapters.methods import AdapterMethod, method_of
from nanoaccel.finetune.train.options import TrainingOptions
from nanoaccel.registry import ADAPTER_METHODS

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
        PluginError: The plugin of the method failed, edits the base, or makes an adapter that
            NanoAccel does not compute.
    """
    from peft import inject_adapter_in_model

    _check_names(model, options)
    method = method_of(options.method)
    config = _configuration(model, method, options)
    torch.manual_seed(options.seed)
    try:
        inject_adapter_in_model(config, model)
    except ValueError as error:
        raise ConfigError(
            f"peft cannot put an adapter into this model: {error}",
            "Choose other --modules or --layers",
        ) from error
    with ADAPTER_METHODS.named(options.method):
        if hasattr(method, "begin"):
            _begin(method, model)
    return config


def _configuration(
    model: PreTrainedModel, method: AdapterMethod, options: TrainingOptions
) -> LoraConfig:
    """The configuration of an adapter that can be read again."""
    from peft import LoraConfig

    every = sorted(_linear_names(model)) if options.layers else _ALL  # peft wants names with layers
    usual = {
        "task_type": "CAUSAL_LM",
        "r": options.rank,
        "lora_alpha": options.scale_alpha,
        "lora_dropout": options.dropout,
        "target_modules": list(options.modules) or every,
        "layers_to_transform": list(options.layers) or None,
    }
    with ADAPTER_METHODS.named(options.method):
        config = LoraConfig(**{**usual, **method.configure(options)})
        written = json.dumps(config.to_dict(), default=list)
        try:
            PeftConfig.parse(written.encode(), Path("its adapter"))
        except AdapterError as error:
            raise ValueError(error.problem) from error
    return config


def _begin(method: AdapterMethod, model: PreTrainedModel) -> None:
    """Let a method edit the adapter's first weights, and nothing else.

    Raises:
        ValueError: It edited the base, or gave a number that is none.
    """
    base = {name: one for name, one in model.named_parameters() if not one.requires_grad}
    before = {name: _sample(one) for name, one in base.items()}
    with torch.no_grad():
        method.begin(model)
    for name, one in model.named_parameters():
        if (name in base) == one.requires_grad or (
            name in base and not torch.equal(before[name], _sample(one))
        ):
            raise ValueError(f"it edited {name}, of the base")
        if one.requires_grad and not bool(one.isfinite().all()):
            raise ValueError(f"it gave {name} numbers that are none")


def _sample(weight: torch.Tensor) -> torch.Tensor:
    """Numbers from all over a weight, copied: to compare all of them takes too long."""
    flat = weight.detach().flatten()
    return flat[:: max(1, len(flat) // 4096)].clone()


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
            linear = ", ".join(sorted(_linear_names(model)))
            raise ConfigError(f"the model has no modules named {name!r}", f"It has {linear}")


def _check_layers(layers: tuple[int, ...], count: int) -> None:
    wrong = [number for number in layers if not 0 <= number < count]
    if wrong:
        raise ConfigError(
            f"layers={wrong[0]} is out of range", f"The model has blocks 0 to {count - 1}"
        )


def _linear_names(model: PreTrainedModel) -> set[str]:
    """Last parts of the names of all linear layers in blocks."""
    from transformers.pytorch_utils import Conv1D

    return {
        path.rsplit(".", 1)[-1]
        for path, module in _blocks(model).named_modules()
        if isinstance(module, nn.Linear | Conv1D)
    }
