"""The interface of an export target: a kind of graph, such as OpenVINO's or ONNX Runtime's.

    check -> capture (while the original is loaded) -> prepare -> build -> judge -> finish

A new kind is a class that answers this, and a line in ``registry/points.py``, or a plugin.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from nanoaccel.errors import ConfigError
from nanoaccel.exporters.targets.judgement import Judgement
from nanoaccel.registry import BACKENDS

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from nanoaccel.exporters.progress import Progress
    from nanoaccel.exporters.quantize.compression import WeightStatistics
    from nanoaccel.exporters.quantize.recipe import Recipe
    from nanoaccel.exporters.quantize.search import Tried
    from nanoaccel.exporters.reference.artifacts import ModelArtifacts
    from nanoaccel.exporters.targets.options import ExportOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """How the weights of a graph are stored, and how the recipe was found.

    Args:
        recipe: What made it.
        weights: Weights by type.
        storage: Type of each layer.
        fused_projections: Groups of parallel projections that became one.
        kept: Layers that stayed as a quantized checkpoint had them.
        tried: Recipes that were tried, where more than one was.
        left_out: Recipes for which there was no time.
    """

    recipe: Recipe
    weights: WeightStatistics
    storage: Mapping[str, str]
    fused_projections: int
    kept: int
    tried: Sequence[Tried] = ()
    left_out: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGraph:
    """A graph in its place in the bundle.

    Args:
        target: Name of its target.
        path: Its file.
        bytes: Size of its weights file.
        compression: How its weights are stored.
        judgement: Its comparison with the original; None as long as it is not judged.
    """

    target: str
    path: Path
    bytes: int
    compression: Compression
    judgement: Judgement | None = None

    @property
    def judged(self) -> Judgement:
        """Its comparison with the original, which a graph of a bundle has."""
        assert self.judgement is not None, "it was not judged"
        return self.judgement


@dataclass(frozen=True, slots=True)
class LoadedOriginal:
    """The original, while its weights are loaded.

    Args:
        model: With its weights.
        tokenizer: Folder of its tokenizer.
    """

    model: PreTrainedModel
    tokenizer: Path


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """The inputs of ``GraphTarget.build``.

    Args:
        artifacts: Artifacts of the original; what was captured for the target is used up.
        options: Options of the export.
        folder: Folder of the bundle in the making.
        source: The graph whose weights it takes over; None when it compresses them itself.
    """

    artifacts: ModelArtifacts
    options: ExportOptions
    folder: Path
    source: TargetGraph | None


class GraphTarget(ABC):
    """A kind of graph that a bundle can have.

    Attributes:
        name: Name of the target, of the backend that runs it, and of its folder in the bundle.
        title: Name of the runtime in messages.
        source: Name of the target whose compressed weights it takes over; None when it compresses
            the original's itself.
        packages: Modules that an export needs for it, beside those that every export needs.
        tools: Distributions whose versions the manifest notes, beside those of every export.
        fixed_memory: Bytes that it takes beside weights, while its graph is made and checked.
        memory_per_weight: Bytes that it takes for each weight of the model while the graph is made.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str | None] = None
    packages: ClassVar[tuple[str, ...]] = ()
    tools: ClassVar[tuple[str, ...]] = ()
    fixed_memory: ClassVar[float] = 0.0
    memory_per_weight: ClassVar[float] = 0.0

    @property
    def graph(self) -> str:
        """The graph's file, relative to the bundle, as its backend declares it."""
        graph = BACKENDS.facts(self.name).graph
        if graph is None:
            raise ConfigError(
                f"no backend {self.name!r} says which file its graph is",
                "Install the plugin that runs the graph; its BackendFacts name the file",
            )
        return graph

    def not_made(self, reason: str) -> str:
        """What the report says where another target takes its place."""
        return f"not made for {self.title}: {reason}"

    def check_model(self, config: PretrainedConfig) -> None:  # noqa: B027
        """Refuse, before any weight is loaded, an architecture that has no such graph.

        Raises:
            UnsupportedModelError: The message says what is in the way.
        """

    def check_runtime(self, config: PretrainedConfig) -> None:  # noqa: B027
        """Refuse an architecture that the graph has, and its runtime computes otherwise.

        Raises:
            UnsupportedModelError: The message says what is in the way.
        """

    def check_recipe(self, recipe: Recipe) -> None:  # noqa: B027
        """Refuse weights that the runtime cannot compute with.

        Raises:
            ConfigError: The type or a method of the recipe is one of these.
        """

    @abstractmethod
    def disk_bytes(self, loaded: int) -> int:
        """Bytes on the disk for each weight, until the export ends, beside the graph itself.

        Args:
            loaded: Bytes of a weight, as it is loaded.
        """

    @abstractmethod
    def capture(self, original: LoadedOriginal, folder: Path, progress: Progress) -> None:
        """Write the data that this target needs of the original.

        Args:
            original: Its weights are loaded.
            folder: Output folder; made new.
            progress: Progress of the export.

        Raises:
            ExportError: The model does not trace.
        """

    def prepare(self, artifacts: ModelArtifacts, progress: Progress) -> None:  # noqa: B027
        """Do early work that may fail, before recipes are tried.

        Args:
            artifacts: Artifacts of the original.
            progress: Progress of the export.

        Raises:
            NanoAccelError: There can be no graph.
        """

    @abstractmethod
    def build(self, request: BuildRequest, progress: Progress) -> TargetGraph:
        """Make the graph in its place; it is judged where recipes were compared.

        Args:
            request: What it is made of.
            progress: Progress of the export.

        Raises:
            ExportError: It cannot be made, or does not work.
            ConfigError: The recipe does not fit the model.
        """

    @abstractmethod
    def judge(self, graph: TargetGraph, request: BuildRequest, progress: Progress) -> Judgement:
        """Compare a graph that ``build`` made with the original.

        Args:
            graph: The graph.
            request: What it was made of.
            progress: Progress of the export.

        Raises:
            ExportError: It does not work, or is another than that whose weights it has.
        """

    def finish(self, folder: Path, *, kept: bool) -> bool:
        """Complete the graph's folder, or delete it.

        Args:
            folder: Folder of the bundle in the making.
            kept: Whether the graph goes into the bundle.

        Returns:
            Whether OpenVINO GenAI opens the graph's folder.
        """
        if not kept:
            shutil.rmtree(folder / self.name, ignore_errors=True)
        return False

    def convert_head(self, graph: Path, folder: Path, positions: int) -> Path:
        """Make the graph of a draft head from the head's graph for the target ``source``.

        Args:
            graph: The graph for ``source``.
            folder: Output folder.
            positions: Context length of the target model, in tokens.

        Returns:
            The file of the graph.

        Raises:
            ExportError: It cannot be made.
        """
        raise NotImplementedError(f"{self.name} takes over no weights")


class GraphTargetFactory(Protocol):
    """What is registered under the name of a target: mostly its class."""

    def __call__(self) -> GraphTarget:
        """Make the target; it keeps nothing between exports."""
        ...
