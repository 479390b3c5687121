"""What an export did and what it cost, for programs (report.json) and for people (report.md)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nanoaccel.calibration.metrics import Fidelity
from nanoaccel.exporters.quantize.compression import WeightStatistics
from nanoaccel.exporters.quantize.search import Tried
from nanoaccel.exporters.report.picture import draw
from nanoaccel.exporters.targets.self_check import SelfCheck

_PICTURE = "recipes.svg"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedGraph:
    """The graph for one runtime.

    Args:
        runtime: Name of the backend that runs it.
        bytes: Size of its weights file.
        fidelity: To the original.
    """

    runtime: str
    bytes: int
    fidelity: Fidelity


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Size, fidelity and effort of an export.

    Args:
        model: What the user asked for.
        recipe: In a few words.
        note: What the user should know of it.
        context: How long it is, and why it is no longer.
        architecture: As in config.json.
        parameters: Weights of the original model.
        graphs: For each runtime, the preferred one first.
        weights: How the weights are stored.
        storage: Type of each layer.
        checkpoint: How the weights were quantized before they came here; empty when they were not.
        kept: Layers that stayed as the checkpoint had them.
        fused_projections: Groups of parallel projections that became one.
        calibration: Text that chose the numbers; empty without a calibrated method.
        plugins: Parts of other packages that took part, each with its package and version.
        tried: Recipes that were tried, where more than one was.
        left_out: Recipes for which there was no time.
        self_checks: Self-check of each graph, through the engine.
        opens_in_genai: Whether OpenVINO GenAI can use the tokenizer too.
        draft: Kind of the bundle's draft, where it is from, and why it was chosen.
        seconds: Seconds by stage.
        peak_memory: The most anonymous memory of the export, bytes.
        expected_memory: What it was expected to be before it began, bytes.
    """

    model: str
    recipe: str
    note: str
    context: str
    architecture: str
    parameters: int
    graphs: Sequence[ReportedGraph]
    weights: WeightStatistics
    storage: Mapping[str, str]
    checkpoint: str
    kept: int
    fused_projections: int
    calibration: str
    plugins: Sequence[str]
    tried: Sequence[Tried]
    left_out: Sequence[str]
    self_checks: Sequence[SelfCheck]
    opens_in_genai: bool
    draft: dict[str, str]
    seconds: dict[str, float]
    peak_memory: int
    expected_memory: int

    @property
    def fidelity(self) -> Fidelity:
        """Fidelity of the first graph to the original."""
        return self.graphs[0].fidelity

    @property
    def graph_bytes(self) -> int:
        """Size of the first graph's weights file."""
        return self.graphs[0].bytes

    @property
    def bits_per_weight(self) -> float:
        """Bits of the weights file for each weight of the model, scales included."""
        return self.graph_bytes * 8 / self.parameters

    def write(self, folder: Path) -> None:
        """Write report.json and report.md, and a picture when several recipes were tried."""
        content = {
            **asdict(self),
            "graph_bytes": self.graph_bytes,
            "fidelity": asdict(self.fidelity),
            "bits_per_weight": self.bits_per_weight,
        }
        (folder / "report.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        (folder / "report.md").write_text(self.to_markdown(), encoding="utf-8")
        if self.tried:
            points = [(tried.name, tried.size / 1e6, tried.fidelity.kl) for tried in self.tried]
            (folder / _PICTURE).write_text(draw(points, self.recipe), encoding="utf-8")

    def to_markdown(self) -> str:
        """The report as a page."""
        parts = [
            f"# {self.model}\n",
            _table(("", ""), self._summary()),
            "## What compression cost\n",
            *self._fidelity(),
            f"Over {self.fidelity.tokens:,} tokens of {self.fidelity.text}, which no weight was "
            "chosen by. `nanoaccel eval` judges over more, or over another text.\n",
            "## Layers\n",
            _table(("stored as", "layers", "weights"), self._stored()),
            *self._exceptions(),
            *self._tried(),
            "## Effort\n",
            _table(("stage", "seconds"), [(k, f"{v:.1f}") for k, v in self.seconds.items()]),
        ]
        return "\n".join(parts)

    def _summary(self) -> list[tuple[str, str]]:
        rows = [
            ("model", f"{self.model} ({self.architecture}, {self.parameters:,} weights)"),
            ("recipe", self.recipe),
            ("note", self.note),
            ("context", self.context),
            ("checkpoint", f"{self.checkpoint}, {self.kept} layers kept" * bool(self.checkpoint)),
            ("calibrated with", self.calibration),
            ("plugins", ", ".join(self.plugins)),
            *(
                (f"weights file, {graph.runtime}", f"{graph.bytes / 1e6:.1f} MB")
                for graph in self.graphs
            ),
            ("bits per weight", f"{self.bits_per_weight:.2f}"),
            *((f"self-check, {check.runtime}", check.describe()) for check in self.self_checks),
            ("opens in OpenVINO GenAI", "yes" if self.opens_in_genai else "no"),
            ("draft", f"{self.draft['kind']}: {self.draft['reason']}"),
            ("export time", f"{sum(self.seconds.values()):.0f} s"),
            (
                "export memory",
                f"{self.peak_memory / 1e9:.1f} GB at most "
                f"(expected {self.expected_memory / 1e9:.1f})",
            ),
        ]
        return [(name, value) for name, value in rows if value]

    def _fidelity(self) -> list[str]:
        """A table for each graph."""
        several = len(self.graphs) > 1
        return [
            _table((graph.runtime if several else "", ""), fidelity_rows(graph.fidelity))
            for graph in self.graphs
        ]

    def _stored(self) -> list[tuple[str, str, str]]:
        counts = Counter(self.storage.values())
        types = ", ".join(f"{n:,} as {kind}" for kind, n in sorted(self.weights.parameters.items()))
        rows = [(kind, str(count), "") for kind, count in counts.most_common()]
        return [*rows, ("in the graph", "", types)]

    def _exceptions(self) -> list[str]:
        """The layers that are not stored as most are."""
        usual = Counter(self.storage.values()).most_common(1)[0][0] if self.storage else ""
        others = [(name, kind) for name, kind in self.storage.items() if kind != usual]
        if not others:
            return []
        return ["Other than most:\n", _table(("layer", "stored as"), others)]

    def _tried(self) -> list[str]:
        if not self.tried:
            return []
        header = ("", "recipe", "MB", "KL", "agreement", "perplexity", "tokens/s", "seconds")
        rows = [
            (
                str(number),
                f"**{tried.name}**" if tried.name == self.recipe else tried.name,
                f"{tried.size / 1e6:.1f}",
                f"{tried.fidelity.kl:.4f} ± {tried.fidelity.kl_error:.4f}",
                f"{tried.fidelity.top1_agreement:.1%}",
                f"{tried.fidelity.perplexity:.2f}",
                f"{tried.tokens_per_second:.0f}",
                f"{tried.seconds:.0f}",
            )
            for number, tried in enumerate(self.tried, 1)
        ]
        parts = ["## Recipes that were tried\n", _table(header, rows)]
        parts.append(f"![size against KL]({_PICTURE})\n")
        if self.left_out:
            parts.append(f"No time was left for: {'; '.join(self.left_out)}.\n")
        return parts


def fidelity_rows(found: Fidelity) -> list[tuple[str, str]]:
    """The fidelity as rows of a table, in llama.cpp's terms."""
    return [
        (
            "KL to the original",
            f"{found.kl:.4f} ± {found.kl_error:.4f} nats a token "
            f"(median {found.kl_median:.4f}, 99 % below {found.kl_99:.3f})",
        ),
        ("same likeliest token", f"{found.top1_agreement:.1%} ± {found.top1_error:.1%}"),
        (
            "perplexity",
            f"{found.perplexity:.2f} ± {found.perplexity_error:.2f} "
            f"(original {found.reference_perplexity:.2f})",
        ),
        (
            "change of the right token's probability",
            f"{found.probability_change:+.2%} ± {found.probability_change_error:.2%} "
            f"(RMS {found.probability_change_rms:.1%})",
        ),
    ]


def fidelity_table(found: Mapping[str, Fidelity]) -> str:
    """Several fidelities side by side, by name."""
    columns = [dict(fidelity_rows(one)) for one in found.values()]
    rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
    return _table(("", *found), rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
