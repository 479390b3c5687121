"""Whether an export fits this machine, asked before anything is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nanoaccel.errors import ExportError
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.source.hollow import make_hollow
from nanoaccel.exporters.source.weight_files import find_weight_files

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from nanoaccel.exporters.source.model_source import Source

# Measured by benchmarks/studies/export_memory.py, bytes.
_LIBRARIES = 0.55e9  # torch, transformers, OpenVINO and NNCF themselves
_ROUNDING = 0.35e9  # some rows of a matrix in f32, several times
_PER_BLOCK_WEIGHT = 10.0  # a block that is calibrated is compiled in f32, beside what is measured
# Measuring how sensitive layers are: tokens, numbers kept for each that a projection gives, and
# bytes for each token of the vocabulary that may follow.
_MEASURED, _KEPT, _CHANCES = 256, 3.0, 28.0
_STACK = 3  # axes of the weights of all experts of a layer
_PASS = 0.1e9  # logits and states of the self-check
_PACKED = 1.05  # of a graph's weights, as the runtime packs them for the self-check


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """How large a model is; all numbers are of weights.

    Args:
        parameters: All of them.
        vocabulary: Those of the embedding and the last projection.
        block: Those of its largest block.
        words: Tokens of the vocabulary.
        outputs: Numbers that the projections of all blocks give for a token.
        stacks: Those of all experts of a layer in one, by the end of their names.
    """

    parameters: int
    vocabulary: int
    block: int
    words: int = 0
    outputs: int = 0
    stacks: Mapping[str, int] = field(default_factory=dict)

    def graph_bytes(self, recipe: Recipe) -> int:
        """Bytes of the weights of a graph."""
        traits = recipe.traits
        bits = traits.bits_with_scales(recipe.group, recipe.symmetric)
        if not recipe.compressed:
            return int(self.parameters * bits / 8)
        if recipe.target_size is not None:
            return recipe.target_size
        if recipe.target_bits is not None:
            return int(self.parameters * recipe.target_bits / 8)
        kept = 8.0 if recipe.backup == "int8" else 16.0
        inner = (recipe.share * bits + (1 - recipe.share) * kept) / 8
        outer = (bits if recipe.last_layer == "same" else 8.0) / 8
        return int((self.parameters - self.vocabulary) * inner + self.vocabulary * outer)


def size_of(config: PretrainedConfig) -> ModelSize:
    """Count the weights of a model of this configuration; none is made.

    Raises:
        UnsupportedModelError: There is no such model.
    """
    import torch

    model = empty_model(config)
    ends = {id(one): one for one in (model.get_input_embeddings(), model.get_output_embeddings())}
    tables = {id(one.weight): one.weight.numel() for one in ends.values() if one is not None}
    stacks: Counter[str] = Counter()
    for name, weight in model.named_parameters():
        if weight.dim() == _STACK:
            stacks[".".join(name.split(".")[-2:])] += weight.numel()
    lists = [one for one in model.modules() if isinstance(one, torch.nn.ModuleList)]
    blocks = [sum(weight.numel() for weight in one.parameters()) for part in lists for one in part]
    return ModelSize(
        parameters=int(model.num_parameters()),
        vocabulary=sum(tables.values()),
        block=max(blocks, default=0),
        words=int(config.get_text_config().vocab_size),
        outputs=sum(
            module.out_features
            for module in model.modules()
            if isinstance(module, torch.nn.Linear) and id(module) not in ends
        ),
        stacks=stacks,
    )


def check_memory(
    source: Source,
    config: PretrainedConfig,
    size: ModelSize,
    recipe: Recipe,
    available: int | None = None,
    *,
    building: float = 0.0,
    checking: float = 0.0,
) -> int:
    """Refuse an export that would not fit.

    Args:
        source: Source of the model.
        config: Configuration of the model.
        size: Its weights.
        recipe: What it shall become.
        available: Bytes that may be used; None asks the system.
        building: Bytes that targets take while they make graphs.
        checking: Bytes that a target takes while its graph is checked, beside its weights.

    Returns:
        The bytes that it is expected to take.

    Raises:
        ExportError: It would take more than is available.
    """
    held, item = loaded_bytes(source, config, recipe), weight_bytes(source, config, recipe)
    stacked = 0 if held > 0 else item * _stacked(source, size)
    needed = expected_memory(size, held, recipe, building, item, checking, stacked)
    require_memory(
        f"the export of {size.parameters / 1e9:.2f} billion weights",
        needed,
        available,
        "Close other programs, use a larger machine, or a recipe without methods",
    )
    return needed


def require_memory(what: str, needed: int, available: int | None, remedy: str) -> None:
    """Refuse what needs more memory than there is.

    Args:
        what: Name of it, in words.
        needed: Bytes.
        available: Bytes that may be used; None asks the system.
        remedy: What a user can do.

    Raises:
        ExportError: It would take more than is available.
    """
    if available is None:
        import psutil

        available = int(psutil.virtual_memory().available)
    if needed > available:
        raise ExportError(
            f"{what} needs about {needed / 1e9:.1f} GB of memory, "
            f"{available / 1e9:.1f} GB are available",
            remedy,
        )


def expected_memory(
    size: ModelSize,
    held: int,
    recipe: Recipe,
    building: float = 0.0,
    item: int = 2,
    checking: float = 0.0,
    stacked: int = 0,
) -> int:
    """Anonymous bytes at the peak of an export.

    Weights that stay in the type of their safetensors are mapped and take none. Compression works
    on a matrix at a time, calibration on a block; the finished graph runs as a whole when it is
    checked through the engine.

    Args:
        size: Weights of the model.
        held: Bytes of each that are in memory because they were converted as they were loaded.
        recipe: What it shall become.
        building: Bytes that targets take while they make graphs.
        item: Bytes of a number, as the original computes.
        checking: Bytes that a target takes while its graph is checked, beside its weights.
        stacked: Bytes of experts that are put together as they are loaded.
    """
    original = size.parameters * held + stacked
    measuring = _MEASURED * (_KEPT * item * size.outputs + _CHANCES * size.words)
    running = original + max(_ROUNDING, measuring if recipe.mixed else 0.0)
    compressing = _ROUNDING + (_PER_BLOCK_WEIGHT * size.block if recipe.calibrated else 0.0)
    checking += _PASS + _PACKED * size.graph_bytes(recipe)
    return int(_LIBRARIES + max(running, compressing, checking, building))


def _stacked(source: Source, size: ModelSize) -> int:
    """Weights of experts that a checkpoint holds one by one: they are not mapped."""
    if not size.stacks:
        return 0
    stored = find_weight_files(source.folder).types
    return sum(
        count
        for end, count in size.stacks.items()
        if not any(name.endswith(end) for name in stored)
    )


def empty_model(config: PretrainedConfig) -> PreTrainedModel:
    """A model of this configuration whose weights have shapes only.

    Raises:
        UnsupportedModelError: There is no such model.
    """
    model = make_hollow(config)
    model.tie_weights()
    return model


def count_parameters(config: PretrainedConfig) -> int:
    """Weights of a model of this configuration; none is made.

    Raises:
        UnsupportedModelError: There is no such model.
    """
    return int(empty_model(config).num_parameters())


def weight_bytes(source: Source, config: PretrainedConfig, recipe: Recipe) -> int:
    """Bytes of one weight as it is loaded, and as the traced graph keeps it."""
    if recipe.weights in ("f16", "bf16"):
        return 2
    if recipe.weights == "f32" or source.gguf is not None:
        return 4
    return 2 if str(config.dtype).endswith("16") else 4


def loaded_bytes(source: Source, config: PretrainedConfig, recipe: Recipe) -> int:
    """Bytes of one weight that are in memory while the original is; 0 where it stays mapped."""
    own = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
    stored = own.get(str(config.dtype).removeprefix("torch."), "f32")
    mapped = source.gguf is None and getattr(config, "quantization_config", None) is None
    if mapped and (recipe.compressed or recipe.weights == stored):
        return 0
    return weight_bytes(source, config, recipe)
