"""Whether a recovery fits this machine, asked before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nanoaccel.exporters.source.memory import ModelSize, require_memory, size_of
from nanoaccel.finetune.recovery.learning.learner import PASS_TOKENS

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# Measured by benchmarks/studies/recovery.py, bytes.
_LIBRARIES = 0.6e9
_PER_CODE = 2.0  # of each weight that learns: its code, and its steps until gradients have passed
_PER_WORD = 6.0  # of the embedding, in f32 and in the type of products
_PER_OUTPUT = 20.0  # of each number that a projection gives for a token of a pass
_PER_CHANCE = 20.0  # of each number of a chunk of logits
_LARGEST = 16.0  # of each weight of the largest block, while it learns


def expected_memory(size: ModelSize, item: int) -> int:
    """Anonymous bytes at the peak of a recovery.

    Args:
        size: Weights of the model.
        item: Bytes of a number in products.
    """
    inner = size.parameters - size.vocabulary
    held = item * size.parameters + (_PER_CODE + item) * inner  # the teacher, and the student
    passing = PASS_TOKENS * _PER_OUTPUT * size.outputs + _LARGEST * size.block
    return int(_LIBRARIES + held + _PER_WORD * size.vocabulary + passing + _PER_CHANCE * (1 << 23))


def check_memory(config: PretrainedConfig, item: int, available: int | None = None) -> int:
    """Refuse a recovery that would not fit.

    Args:
        config: Configuration of the model.
        item: Bytes of a number in products.
        available: Bytes that may be used; None asks the system.

    Returns:
        The bytes that it is expected to take.

    Raises:
        ExportError: It would take more than is available.
    """
    needed = expected_memory(size_of(config), item)
    remedy = "Close other programs, or use a larger machine"
    require_memory("the recovery", needed, available, remedy)
    return needed
