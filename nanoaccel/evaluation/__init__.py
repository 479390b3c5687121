"""What compression cost: a bundle against its original, another bundle, or tasks.

bundle ──> logits ─────────────┬──> evaluate ──> Fidelity, Perplexity
model  ──> original ───────────┘
bundle ──> logits ──> likelihood ──> harness ──> tasks of lm-evaluation-harness
"""

from nanoaccel.evaluation.evaluate import evaluate, perplexity
from nanoaccel.evaluation.logits import BundleLogits

__all__ = ["BundleLogits", "evaluate", "perplexity"]
