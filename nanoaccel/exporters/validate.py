"""Runs the exported graph once and compares it with the model that it came from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.calibration.metrics import Fidelity, fidelity
from nanoaccel.errors import ExportError

if TYPE_CHECKING:
    import openvino as ov
    from transformers import PreTrainedModel

_TEXT = """\
The lighthouse stood at the end of a long spit of gravel, and in winter the sea came over it twice
a day. Whoever kept the lamp had to plan the walk to the village by the tide table. In 1911 the
keeper was a woman named Ada Brandt, who wrote down everything: 14 ships on Monday, 3 on Tuesday,
fog from noon until six. "If the light is out," she told the new boy, "ring the bell first and ask
why later." She also kept bees, which nobody had thought possible so close to the salt.

def tide(hour, phase):
    return round(2.4 * math.sin(hour / 12.42 * 2 * math.pi + phase), 2)

The boy asked what the function was for. She said that numbers were a kind of rope: you hold one
end today, and tomorrow somebody else can find you by it.
"""


def validation_tokens(folder: Path, vocab_size: int) -> NDArray[np.int64]:
    """The text that every export is judged on, i64[T], by the tokenizer in ``folder``."""
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(_TEXT).ids
    return np.minimum(np.array(ids, np.int64), vocab_size - 1)


def reference_logits(model: PreTrainedModel, token_ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Logits f32[T, V] of the torch model."""
    import torch

    with torch.inference_mode():
        logits = model(torch.from_numpy(token_ids)[None]).logits[0].float().numpy()
    return np.asarray(logits, np.float32)


def validate(graph: Path, token_ids: NDArray[np.int64], reference: NDArray[np.float32]) -> Fidelity:
    """Run the exported graph in f32 over the text and compare.

    Raises:
        ExportError: The graph does not run, or gives logits that are not numbers.
    """
    import openvino as ov

    try:
        compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        logits = compiled(_inputs(compiled, token_ids))["logits"][0]
    except RuntimeError as error:
        raise ExportError(
            f"the exported graph does not run: {str(error).splitlines()[0]}",
            "Try other weights, or report it with the model's name",
        ) from error
    if not np.isfinite(logits).all():
        raise ExportError(
            "the exported graph gives logits that are not numbers",
            "The model's weights may be damaged, or may need --weights bf16 or f32",
        )
    return fidelity(logits, reference, token_ids)


def _inputs(compiled: ov.CompiledModel, token_ids: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    count = len(token_ids)
    known: dict[str, NDArray[Any]] = {
        "input_ids": token_ids[None],
        "attention_mask": np.ones((1, count), np.int64),
        "position_ids": np.arange(count, dtype=np.int64)[None],
        "beam_idx": np.zeros(1, np.int32),
    }
    wanted = {value.get_any_name() for value in compiled.inputs}
    return {name: array for name, array in known.items() if name in wanted}
