from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

pytest.importorskip("transformers")

from nanoaccel.errors import ExportError
from nanoaccel.exporters import make_graphs as module
from nanoaccel.exporters.make_graphs import make_graphs
from nanoaccel.exporters.progress import Progress
from nanoaccel.exporters.targets import self_check
from nanoaccel.exporters.targets.base import BuildRequest, GraphTarget, TargetGraph
from nanoaccel.exporters.targets.options import ExportOptions


@dataclass
class Target(GraphTarget):
    """Notes what it is asked, and fails where it is told to."""

    name: str  # type: ignore[misc]
    title: ClassVar[str] = "Fast Runtime"
    graph: ClassVar[str] = "a/graph"
    source: str | None = None  # type: ignore[misc]
    fails_in: str = ""
    asked: list[str] = field(default_factory=list)

    def check_model(self, config: Any) -> None:
        """Nothing is refused."""

    def disk_bytes(self, loaded: int) -> int:
        return loaded

    def capture(self, original: Any, folder: Path, progress: Progress) -> None:
        """Nothing is needed."""

    def prepare(self, artifacts: Any, progress: Progress) -> None:  # noqa: ARG002
        self._do("prepare")

    def build(self, request: BuildRequest, progress: Progress) -> Any:  # noqa: ARG002
        self._do("build" if request.source is None else f"build from {request.source.target}")
        compression: Any = SimpleNamespace(
            recipe=SimpleNamespace(weights="int4"), weights=SimpleNamespace(group_size=None)
        )
        return TargetGraph(target=self.name, path=Path(), bytes=1, compression=compression)

    def judge(self, graph: Any, request: BuildRequest, progress: Progress) -> Any:  # noqa: ARG002
        self._do("judge")
        return SimpleNamespace(fidelity=None, answers=None)

    def _do(self, what: str) -> None:
        self.asked.append(what)
        if what == self.fails_in:
            raise ExportError(f"cannot {what}")


def made(
    monkeypatch: pytest.MonkeyPatch,
    second: Target,
    *,
    fallback: bool,
    targets: tuple[str, ...] = ("second", "first"),
) -> tuple[Target, tuple[str, ...], str]:
    first = Target("first")
    monkeypatch.setattr(module, "with_sources", lambda _: [first, second])
    monkeypatch.setattr(module, "BASE", first)
    monkeypatch.setattr(self_check, "self_check", lambda *_: None)
    options = ExportOptions(
        recipe=None,
        calibration=None,
        judge_tokens=1,
        search_seconds=None,
        draft="none",
        targets=targets,
        fallback=fallback,
    )
    artifacts: Any = SimpleNamespace(answers=None, probes=None, context=64)
    found = make_graphs(artifacts, options, Path(), Progress(lambda _: None))
    return first, found.targets, found.note


def test_targets_take_weights_from_those_that_were_built_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    second = Target("second", source="first")
    first, kept, note = made(monkeypatch, second, fallback=False)
    assert first.asked == ["prepare", "build", "judge"]
    assert second.asked == ["prepare", "build from first", "judge"]
    assert (kept, note) == (("second", "first"), "")


def test_a_graph_is_judged_only_where_it_goes_into_the_bundle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    second = Target("second", source="first")
    first, kept, _ = made(monkeypatch, second, fallback=False, targets=("second",))
    assert first.asked == ["prepare", "build"]
    assert second.asked[-1] == "judge"
    assert kept == ("second",)


@pytest.mark.parametrize("step", ["prepare", "build from first", "judge"])
def test_the_base_takes_the_place_of_a_target_that_fails(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = Target("second", source="first", fails_in=step)
    first, kept, note = made(monkeypatch, second, fallback=True, targets=("second",))
    assert kept == ("first",)
    assert first.asked[-1] == "judge"
    assert note == f"not made for Fast Runtime: cannot {step}"
    with pytest.raises(ExportError, match=f"cannot {step}"):
        made(monkeypatch, second, fallback=False)


def test_a_target_without_source_is_never_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExportError, match="cannot build"):
        made(monkeypatch, Target("second", fails_in="build"), fallback=True)
