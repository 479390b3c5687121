"""What an export did and what it cost, for programs (report.json) and for people (report.md)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from nanoaccel.calibration.metrics import Fidelity
from nanoaccel.exporters.compression import WeightStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Size, fidelity and effort of an export.

    Args:
        model: What the user asked for.
        recipe: In a few words.
        architecture: As in config.json.
        parameters: Weights of the original model.
        graph_bytes: Size of the graph's weights file.
        weights: How the weights are stored.
        fused_projections: Groups of parallel projections that became one.
        fidelity: Predictions against the original model's, over a short English and code text.
        opens_in_genai: Whether OpenVINO GenAI can use the tokenizer too.
        draft: Kind of the bundle's draft, where it is from, and why it was chosen.
        seconds: By stage.
        peak_memory: Resident memory of the export at its stages' ends, bytes.
    """

    model: str
    recipe: str
    architecture: str
    parameters: int
    graph_bytes: int
    weights: WeightStatistics
    fused_projections: int
    fidelity: Fidelity
    opens_in_genai: bool
    draft: dict[str, str]
    seconds: dict[str, float]
    peak_memory: int

    @property
    def bits_per_weight(self) -> float:
        """Bits of the weights file for each weight of the model, scales included."""
        return self.graph_bytes * 8 / self.parameters

    def write(self, folder: Path) -> None:
        """Write report.json and report.md."""
        content = {**asdict(self), "bits_per_weight": self.bits_per_weight}
        (folder / "report.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        (folder / "report.md").write_text(self.to_markdown(), encoding="utf-8")

    def to_markdown(self) -> str:
        """The report as a page."""
        stored = ", ".join(
            f"{count:,} as {kind}" for kind, count in sorted(self.weights.parameters.items())
        )
        rows = [
            ("model", f"{self.model} ({self.architecture}, {self.parameters:,} weights)"),
            ("recipe", self.recipe),
            ("weights file", f"{self.graph_bytes / 1e6:.1f} MB"),
            ("bits per weight", f"{self.bits_per_weight:.2f}"),
            ("stored", stored),
            ("KL to the original", f"{self.fidelity.kl:.4f} nats a token"),
            ("same likeliest token", f"{self.fidelity.top1_agreement:.1%}"),
            (
                "perplexity",
                f"{self.fidelity.perplexity:.2f} (original "
                f"{self.fidelity.reference_perplexity:.2f})",
            ),
            ("opens in OpenVINO GenAI", "yes" if self.opens_in_genai else "no"),
            ("draft", f"{self.draft['kind']}: {self.draft['reason']}"),
            ("export time", f"{sum(self.seconds.values()):.0f} s"),
            ("export memory", f"{self.peak_memory / 1e9:.1f} GB"),
        ]
        lines = "\n".join(f"| {name} | {value} |" for name, value in rows)
        return (
            f"# {self.model}\n\n| | |\n| --- | --- |\n{lines}\n\n"
            f"Fidelity is measured over {self.fidelity.tokens} tokens: enough to see that the "
            "export is sound, too few to compare recipes.\n"
        )
