"""Two models on the same prompts: their answers side by side, and how far apart they predict.

prompts ──> compare ──> A answers, A reads ──> B answers, B reads ──> Comparison
"""

from nanoaccel.evaluation.comparison.compare import CompareOptions, compare
from nanoaccel.evaluation.comparison.prompts import ComparisonPrompt, read_prompts
from nanoaccel.evaluation.comparison.result import ComparedAnswers, Comparison

__all__ = [
    "CompareOptions",
    "ComparedAnswers",
    "Comparison",
    "ComparisonPrompt",
    "compare",
    "read_prompts",
]
