"""Makes the graphs of a bundle, and runs each through the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.errors import NanoAccelError
from nanoaccel.exporters.failures import named_failures
from nanoaccel.exporters.progress import Progress
from nanoaccel.exporters.quantize.weight_types import FLOATS
from nanoaccel.exporters.targets.base import BuildRequest, GraphTarget, TargetGraph
from nanoaccel.exporters.targets.options import ExportOptions
from nanoaccel.exporters.targets.table import BASE, BUILT_IN, with_sources

if TYPE_CHECKING:
    from nanoaccel.exporters.reference.artifacts import ModelArtifacts
    from nanoaccel.exporters.targets.self_check import SelfCheck


@dataclass(frozen=True, slots=True)
class MadeGraphs:
    """The graphs of a bundle.

    Args:
        graphs: Graphs that go into the bundle, the preferred one first.
        checks: Self-checks of each of them, through the engine.
        note: Why another target takes the place of the one that was asked for; empty when none
            does.
    """

    graphs: Sequence[TargetGraph]
    checks: Sequence[SelfCheck]
    note: str

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets that the bundle has a graph for, the preferred one first."""
        return tuple(graph.target for graph in self.graphs)


def make_graphs(
    artifacts: ModelArtifacts, options: ExportOptions, folder: Path, progress: Progress
) -> MadeGraphs:
    """Make the graphs in their places in the bundle, and run each through the engine.

    Raises:
        NanoAccelError: A graph cannot be made, or the engine gives something else. Where the user
            left the target open, that whose weights it takes over takes its place instead.
    """
    left_out: list[str] = []
    targets = []
    for target in with_sources(options.targets):
        with _left_out_on_failure(target, options, left_out, progress):
            target.prepare(artifacts, progress)
            targets.append(target)
    made: dict[str, TargetGraph] = {}
    checks: dict[str, SelfCheck] = {}
    for target in targets:
        with _left_out_on_failure(target, options, left_out, progress):
            source = None if target.source is None else made[target.source]
            request = BuildRequest(artifacts, options, folder, source)
            graph = target.build(request, progress)
            if target.name in options.targets:
                graph = judge_graph(target, graph, request, progress)
                checks[target.name] = check_graph(folder, graph, artifacts, progress)
            made[target.name] = graph
    kept = tuple(name for name in options.targets if name in made) or (BASE.name,)
    if kept[0] not in checks:  # it takes the place of another one
        request = BuildRequest(artifacts, options, folder, None)
        made[kept[0]] = judge_graph(BASE, made[kept[0]], request, progress)
        checks[kept[0]] = check_graph(folder, made[kept[0]], artifacts, progress)
    return MadeGraphs(
        [made[name] for name in kept],
        [check for name, check in checks.items() if name in kept],
        ". ".join(left_out),
    )


def finish_folders(folder: Path, made: MadeGraphs) -> bool:
    """Complete the folders of the graphs, and delete those that do not go into the bundle.

    Returns:
        Whether OpenVINO GenAI opens one of them.
    """
    opened = [
        target.finish(folder, kept=target.name in made.targets)
        for target in with_sources((*BUILT_IN, *made.targets))
    ]
    return any(opened)


@contextmanager
def _left_out_on_failure(
    target: GraphTarget, options: ExportOptions, left_out: list[str], progress: Progress
) -> Iterator[None]:
    """Leave a target out when it fails, unless the user asked for it or others need it."""
    try:
        with named_failures(progress):
            yield
    except NanoAccelError as error:
        if not options.fallback or target.source is None:
            raise
        left_out.append(target.not_made(error.problem))


def judge_graph(
    target: GraphTarget, graph: TargetGraph, request: BuildRequest, progress: Progress
) -> TargetGraph:
    """The graph with its comparison with the original, which is made where it has none yet."""
    if graph.judgement is not None:
        return graph
    return replace(graph, judgement=target.judge(graph, request, progress))


def check_graph(
    folder: Path, graph: TargetGraph, artifacts: ModelArtifacts, progress: Progress
) -> SelfCheck:
    """Run a graph through the engine; with float weights it gives what the original does."""
    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.targets.self_check import JUDGED, ORIGINAL, Expected, self_check

    original = artifacts.answers if graph.compression.recipe.weights in FLOATS else None
    judged = Expected(graph.judged.answers, JUDGED)
    expected = judged if original is None else Expected(original, ORIGINAL)
    group = graph.compression.weights.group_size
    with progress.stage(f"check it through the engine, {graph.target}"), quiet():
        return self_check(folder, graph.target, graph.path, artifacts.probes, expected, group)
