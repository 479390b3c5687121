"""The bundle's model in torch: the original, with the bundle's matrices in the place of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nanoaccel.errors import UnsupportedModelError
from nanoaccel.exporters.targets.onnx.stored import StoredWeight
from nanoaccel.finetune.recovery.graphs.stored_graph import StoredGraph
from nanoaccel.finetune.recovery.learning.matrix import FrozenLinear, LearnedLinear, LearnedMatrix
from nanoaccel.finetune.train.weights import multiplies_bf16

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NARROW = 0.01  # what products in bf16 lose, as a share of the logits
_UNEXPLAINED = 0.3  # of the difference between the graph and the original
_COMPARED = 48  # tokens


def product_type() -> torch.dtype:
    """The type in which this CPU multiplies fastest."""
    return torch.bfloat16 if multiplies_bf16() else torch.float32


class Student:
    """The model that learns.

    Args:
        model: A copy of what ``as_teacher`` gave, which may share weights with it; it is edited.
        graph: A graph of the bundle.

    Attributes:
        model: The bundle's model.
        matrices: What learns of it, by module.

    Raises:
        UnsupportedModelError: The original has no such matrices.
    """

    def __init__(self, model: PreTrainedModel, graph: StoredGraph) -> None:
        self.model = model
        self.matrices: dict[str, LearnedMatrix] = {}
        learnable = graph.learnable()
        self._set_ends(graph.weights)
        for name, stored in graph.weights.items():
            module = _submodule(model, name)
            if isinstance(module, nn.Embedding) or module is model.get_output_embeddings():
                continue
            if name in learnable:
                self.matrices[name] = LearnedMatrix(stored, product_type())
                _replace(model, name, LearnedLinear(self.matrices[name], _bias(module)))
            else:
                _replace(model, name, FrozenLinear(_dense(stored), _bias(module)))
        model.requires_grad_(requires_grad=False)

    @property
    def count(self) -> int:
        """Scales and zero points that learn."""
        return sum(
            one.gain.numel() + (one.zero.numel() if one.learns_zeros else 0)
            for one in self.matrices.values()
        )

    def _set_ends(self, weights: Mapping[str, StoredWeight]) -> None:
        """Give embeddings and the last projection the bundle's numbers; they do not learn."""
        head: Any = self.model.get_output_embeddings()
        tied = bool(getattr(self.model.config, "tie_word_embeddings", False))
        for name, stored in weights.items():
            module = _submodule(self.model, name)
            if isinstance(module, nn.Embedding):
                values = torch.from_numpy(stored.dequantize())
                module.weight = nn.Parameter(values, requires_grad=False)
            first = module is self.model.get_input_embeddings()
            if module is head or (first and tied and head is not None):
                narrow = FrozenLinear(_dense(stored), _bias(head))
                self.model.set_output_embeddings(narrow)

    def check(
        self, graph: StoredGraph, teacher: PreTrainedModel, tokens: NDArray[np.int64]
    ) -> None:
        """Refuse a graph that differs from the original by more than its matrices.

        Args:
            graph: The graph.
            teacher: The original.
            tokens: Some text, i64[T].

        Raises:
            UnsupportedModelError: It does.
        """
        tokens = tokens[:_COMPARED]
        wanted = torch.from_numpy(graph.logits(tokens))
        own, original = (_distance(model, tokens, wanted) for model in (self.model, teacher))
        if own > max(_NARROW, _UNEXPLAINED * original):
            raise UnsupportedModelError(
                f"the original with the matrices of {graph.path} is {own:.1%} away from that "
                f"graph, and without them {original:.1%}: something else is changed too",
                "Recover a bundle of a model without experts, without the method lora-correction",
            )

    def stored(self) -> dict[str, StoredWeight]:
        """The matrices as they are now, by module."""
        return {name: matrix.stored() for name, matrix in self.matrices.items()}


def as_teacher(model: PreTrainedModel) -> PreTrainedModel:
    """Let projections compute in the type of products, and all else in f32; edited in place.

    Positions would lose more than weights do if everything were narrow.
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear):
            narrow = FrozenLinear(module.weight.detach().to(product_type()), _bias(module))
            _replace(model, name, narrow)
    for module in model.modules():
        if not isinstance(module, FrozenLinear):
            for name, weight in list(module.named_parameters(recurse=False)):
                setattr(module, name, nn.Parameter(weight.detach().float(), requires_grad=False))
    return model


def _distance(model: PreTrainedModel, tokens: NDArray[np.int64], wanted: Tensor) -> float:
    """How far logits are from those that are wanted, as a share of their size."""
    with torch.no_grad():
        found = model(torch.from_numpy(tokens)[None], use_cache=False).logits[0].float()
    return float((found - wanted).norm() / wanted.norm())


def rows_of(model: PreTrainedModel) -> dict[str, int]:
    """Rows of the matrix of each module that multiplies."""
    found = {}
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, torch.Tensor) and weight.ndim == 2:
            found[name] = int(_upright(module, weight).shape[0])
    return found


def _submodule(model: PreTrainedModel, name: str) -> nn.Module:
    try:
        found: nn.Module = model.get_submodule(name)
    except AttributeError as error:
        raise UnsupportedModelError(
            f"the bundle has a matrix of {name}, and its original has none",
            "Export the model again, and recover that bundle",
        ) from error
    return found


def _upright(module: nn.Module, weight: Tensor) -> Tensor:
    """A matrix as [O, I]; GPT-2's layers have it lying."""
    from transformers.pytorch_utils import Conv1D

    return weight.T if isinstance(module, Conv1D) else weight


def _dense(stored: StoredWeight) -> Tensor:
    """A matrix [O, I] as a projection of the model has it, whatever is done to its input."""
    values = stored.dequantize()
    if stored.permutation is not None:
        in_place = np.empty_like(values)
        in_place[:, stored.permutation] = values
        values = in_place
    if stored.input_scale is not None:
        values = values * stored.input_scale
    return torch.from_numpy(values).to(product_type())


def _bias(module: nn.Module) -> Tensor | None:
    bias = getattr(module, "bias", None)
    return bias.float() if isinstance(bias, torch.Tensor) else None


def _replace(model: PreTrainedModel, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)
