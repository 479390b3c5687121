"""Plugins of exports and trainings that are right, and the same ones with one fault each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import torch

from nanoaccel.errors import SourceError
from nanoaccel.exporters.quantize.compression.integers.grid import Codes, Grid, round_rows
from nanoaccel.exporters.quantize.methods import Rounding
from nanoaccel.exporters.source.places import FoundModel
from nanoaccel.exporters.targets.onnx.target import OnnxTarget

MODELS = "PLANTED_MODELS"


class GoodMethod(Rounding):
    """Rounds to nearest."""

    def round_rows(self, weight: Any, grid: Grid, importance: Any) -> Codes:
        return round_rows(weight, grid, importance)


class ForgetsTheMiddle(GoodMethod):
    def round_rows(self, weight: Any, grid: Grid, importance: Any) -> Codes:
        codes = super().round_rows(weight, grid, importance)
        return replace(codes, zeros=torch.zeros_like(codes.zeros))


class OverflowsTheGrid(GoodMethod):
    def round_rows(self, weight: Any, grid: Grid, importance: Any) -> Codes:
        codes = super().round_rows(weight, grid, importance)
        return replace(codes, integers=codes.integers + 8)


class GivesWideScales(GoodMethod):
    def round_rows(self, weight: Any, grid: Grid, importance: Any) -> Codes:
        codes = super().round_rows(weight, grid, importance)
        return replace(codes, scales=codes.scales.float())


class LosesTheGroups(GoodMethod):
    def round_rows(self, weight: Any, grid: Grid, importance: Any) -> Codes:
        codes = super().round_rows(weight, grid, importance)
        return replace(codes, integers=codes.integers.flatten(1))


class EditsTheWeights(GoodMethod):
    def round_rows(self, weight: Any, grid: Grid, importance: Any) -> Codes:
        return super().round_rows(weight.mul_(0.999), grid, importance)


class RoundsByChance(GoodMethod):
    def round_rows(self, weight: Any, grid: Grid, importance: Any) -> Codes:
        noise = 1 + 0.01 * torch.randn_like(weight)
        return super().round_rows(weight * noise, grid, importance)


class MixesRows(GoodMethod):
    def round_rows(self, weight: Any, grid: Grid, importance: Any) -> Codes:
        codes = super().round_rows(weight, grid, importance)
        same = codes.scales.abs().amax(0, keepdim=True).expand_as(codes.scales)
        return replace(codes, scales=same.clone())


class RoundsCoarsely(GoodMethod):
    def round_rows(self, weight: Any, grid: Grid, importance: Any) -> Codes:
        codes = super().round_rows(weight, grid, importance)
        return replace(codes, integers=codes.integers & 14)


class LeavesTheGraph(GoodMethod):
    def compress(self, request: Any) -> Any:
        return request.model


class NamesAnUnknownType(GoodMethod):
    weights = ("int4", "int5")


class GoodModels:
    """The folder that the test has made."""

    def __new__(cls, reference: str) -> Any:
        if reference != "good":
            raise SourceError(f"there is no {reference}")
        return cls.find()

    @classmethod
    def find(cls) -> Any:
        return FoundModel(path=Path(os.environ[MODELS]))


class GivesAPath(GoodModels):
    @classmethod
    def find(cls) -> Any:
        return Path(os.environ[MODELS])


class GivesAString(GoodModels):
    @classmethod
    def find(cls) -> Any:
        path: Any = os.environ[MODELS]
        return FoundModel(path=path)


class NamesWhatIsNotThere(GoodModels):
    @classmethod
    def find(cls) -> Any:
        return FoundModel(path=Path(os.environ[MODELS]) / "absent")


class NamesTheFolderAbove(GoodModels):
    @classmethod
    def find(cls) -> Any:
        return FoundModel(path=Path(os.environ[MODELS]).parent)


class ChangesItsRevision(GoodModels):
    numbers = count()

    @classmethod
    def find(cls) -> Any:
        return FoundModel(path=Path(os.environ[MODELS]), revision=str(next(cls.numbers)))


class TakesAnyName(GoodModels):
    def __new__(cls, reference: str) -> Any:  # noqa: ARG004
        return cls.find()


class FailsOnUnknownNames(GoodModels):
    def __new__(cls, reference: str) -> Any:
        return {"good": cls.find()}[reference]


class GoodTarget(OnnxTarget):
    """ONNX Runtime's graph."""


class IsNamedByNumber(GoodTarget):
    name: Any = 1


class TakesWeightsFromNowhere(GoodTarget):
    source: ClassVar[str | None] = "nowhere"


class NeedsNegativeMemory(GoodTarget):
    memory_per_weight: ClassVar[float] = -1.0


class NeedsEndlessDisk(GoodTarget):
    def disk_bytes(self, loaded: int) -> int:
        return loaded << 30


class FailsOnRecipes(GoodTarget):
    def check_recipe(self, recipe: Any) -> None:
        {}[recipe.weights]


class NamesOnePackage(GoodTarget):
    packages: Any = "onnx"


class GoodAdapters:
    """Plain LoRA."""

    rate = 1e-3
    four_bits: Any = False

    def configure(self, options: Any) -> Mapping[str, Any]:  # noqa: ARG002
        return {}


class LearnsBackwards(GoodAdapters):
    rate = -1e-3


class HasNoWordOnBits(GoodAdapters):
    four_bits = None


class TrainsBiases(GoodAdapters):
    def configure(self, options: Any) -> Mapping[str, Any]:  # noqa: ARG002
        return {"bias": "all"}


class NamesAnUnknownField(GoodAdapters):
    def configure(self, options: Any) -> Mapping[str, Any]:  # noqa: ARG002
        return {"use_magic": True}


class EditsTheBase(GoodAdapters):
    def begin(self, model: Any) -> None:
        for name, one in model.named_parameters():
            if "base_layer" in name:
                one.mul_(0.9)


class BeginsWithoutNumbers(GoodAdapters):
    def begin(self, model: Any) -> None:
        for name, one in model.named_parameters():
            if "lora_B" in name:
                one.fill_(torch.nan)


class BeginsByChance(GoodAdapters):
    def begin(self, model: Any) -> None:
        torch.seed()
        for name, one in model.named_parameters():
            if "lora_A" in name:
                one.normal_()


class BeginsFarAway(GoodAdapters):
    def begin(self, model: Any) -> None:
        for name, one in model.named_parameters():
            if "lora_B" in name:
                one.fill_(100.0)


class TrainsTheBase(GoodAdapters):
    def begin(self, model: Any) -> None:
        model.requires_grad_(True)
