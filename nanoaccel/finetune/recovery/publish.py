"""Writes what was learned into a copy of the bundle, and publishes it if it is better."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nanoaccel.bundle import Bundle, Manifest
from nanoaccel.calibration.metrics import Fidelity
from nanoaccel.calibration.probes import Probes
from nanoaccel.calibration.reference import Reference
from nanoaccel.errors import ExportError
from nanoaccel.exporters.convert.bundle_parts import manifest_of
from nanoaccel.exporters.convert.restated import restate
from nanoaccel.exporters.progress import Progress
from nanoaccel.exporters.publish import publishing
from nanoaccel.exporters.report.text import fidelity_table
from nanoaccel.exporters.targets.onnx.stored import StoredWeight
from nanoaccel.finetune.recovery.graphs.stored_graph import StoredGraph
from nanoaccel.finetune.recovery.judging import Judged, judge_whole

_REPORT, _PAGE = "report.json", "report.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What was learned.

    Args:
        matrices: The matrices by module.
        tokens: Tokens that were read, all rounds together.
        numbers: Scales and zero points that learned.
        seconds: Seconds that it took.
        divergence: KL of each pass over its text, nats a token, before its step.
        stopped: Whether it ended early.
    """

    matrices: Mapping[str, StoredWeight]
    tokens: int
    numbers: int
    seconds: float
    divergence: tuple[float, ...]
    stopped: bool


@dataclass(frozen=True, slots=True)
class Recovery:
    """All that is known before the learning.

    Args:
        bundle: The bundle.
        graphs: Its graphs, the preferred one first.
        reference: What the original predicts over the text that judges.
        probes: What the engine is asked.
        before: Fidelity of the first graph.
        text: What teaches.
        memory: Bytes that the recovery should take.
    """

    bundle: Bundle
    graphs: Sequence[StoredGraph]
    reference: Reference
    probes: Probes
    before: Fidelity
    text: str
    memory: int

    def publish(
        self, target: Path, learned: Learned, progress: Progress, *, overwrite: bool
    ) -> Fidelity:
        """Make the bundle.

        Args:
            target: Its folder.
            learned: What was learned.
            progress: Learns the stages.
            overwrite: Whether what stands there is replaced.

        Returns:
            Fidelity of its first graph.

        Raises:
            ExportError: It is no better than it was, or does not work; nothing was changed.
        """
        bundle = self.bundle
        with publishing(target, overwrite=overwrite) as folder:
            with progress.stage("write the bundle"):
                shutil.copytree(bundle.folder, folder, dirs_exist_ok=True)
                for graph in self.graphs:
                    graph.write(folder, bundle.folder, learned.matrices)
            judged = [self._judge(graph, folder, progress) for graph in self.graphs]
            facts = self._facts(learned, judged[0].fidelity, progress)
            _state(folder, manifest_of(bundle), judged, facts, self.before)
        return judged[0].fidelity

    def _judge(self, graph: StoredGraph, folder: Path, progress: Progress) -> Judged:
        """Judge the copy of a graph, and refuse it if it is no better."""
        copied = graph.at(folder / graph.path.relative_to(self.bundle.folder))
        judged = judge_whole(folder, copied, self.reference, self.probes, progress)
        if judged.fidelity.kl >= self.before.kl:
            raise ExportError(
                f"what was learned is no better: KL {self.before.kl:.4f} before, "
                f"{judged.fidelity.kl:.4f} after; nothing was changed",
                "Give it more --minutes, or a text that is more like what it judges",
            )
        return judged

    def _facts(self, learned: Learned, after: Fidelity, progress: Progress) -> dict[str, object]:
        return {
            "text": self.text,
            "tokens": learned.tokens,
            "numbers": learned.numbers,
            "seconds": learned.seconds,
            "stopped": learned.stopped,
            "divergence": list(learned.divergence),
            "before": asdict(self.before),
            "after": asdict(after),
            "peak_memory": progress.peak_memory,
            "expected_memory": self.memory,
        }


def _state(
    folder: Path,
    manifest: Manifest,
    judged: Sequence[Judged],
    facts: Mapping[str, object],
    before: Fidelity,
) -> None:
    """Say in the manifest and the report what the bundle is now."""
    first, *others = judged
    found = {one.runtime: asdict(one.fidelity) for one in others}
    stated = replace(
        manifest,
        validation=asdict(first.fidelity),
        also=tuple(replace(entry, validation=found[entry.runtime]) for entry in manifest.also),
        self_check={one.runtime: _checked(one) for one in judged},
    )
    note = (
        f"Recovered: KL {before.kl:.4f} before, {first.fidelity.kl:.4f} after "
        f"{facts['tokens']:,} tokens of {facts['text']}"
    )
    report = folder / _REPORT
    graphs: list[Any] = []
    if report.is_file():
        graphs = json.loads(report.read_text(encoding="utf-8")).get("graphs", [])
        known = {first.runtime: asdict(first.fidelity), **found}
        for graph in graphs:  # a bundle that was converted may have fewer than its report
            graph["fidelity"] = known.get(graph["runtime"], graph["fidelity"])
    if (folder / _PAGE).is_file():
        with (folder / _PAGE).open("a", encoding="utf-8") as page:
            page.write(_section(facts, before, first.fidelity))
    more = {"recovery": facts, "graphs": graphs, "fidelity": asdict(first.fidelity)}
    checks = [asdict(one.check) for one in judged]
    restate(folder, stated, note, **more, self_checks=checks)


def _checked(judged: Judged) -> dict[str, object]:
    return {name: value for name, value in asdict(judged.check).items() if name != "runtime"}


def _section(facts: Mapping[str, object], before: Fidelity, after: Fidelity) -> str:
    """The recovery as a part of report.md."""
    return "\n".join(
        [
            "\n## Recovery\n",
            f"{facts['numbers']:,} scales and zero points learned from the original for "
            f"{facts['seconds']:.0f} s, over {facts['tokens']:,} tokens of {facts['text']}. What "
            "stands above of fidelity was measured before.\n",
            fidelity_table({"before": before, "after": after}),
            f"Over {after.tokens:,} tokens of {after.text}, which nothing was learned from.\n",
        ]
    )
