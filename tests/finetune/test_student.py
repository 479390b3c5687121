"""A target with fewer layers is still a model, and learns."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.training_examples import make_example

from nanoaccel.testing import tiny_models

torch = pytest.importorskip("torch")

from nanoaccel.errors import ConfigError  # noqa: E402
from nanoaccel.finetune.drafts.batches import collate  # noqa: E402
from nanoaccel.finetune.drafts.judging import survival  # noqa: E402
from nanoaccel.finetune.drafts.student import Student  # noqa: E402
from nanoaccel.finetune.drafts.training import TrainingOptions, train  # noqa: E402

pytestmark = pytest.mark.export

VOCAB_SIZE = 384


@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "qwen3"])
def test_student_keeps_the_first_and_the_last_layer(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = tiny_models.make_model(kind, num_hidden_layers=4)
    layers = list(model.get_decoder().layers)
    student = Student(model, 2)
    assert list(student.model.get_decoder().layers) == [layers[0], layers[3]]
    student.save(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.config.num_hidden_layers == 2
    tokens = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        ours, theirs = student.model(tokens).logits, again(tokens).logits
    assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 3, 9])
def test_student_refuses_layers_that_there_are_not(count: int) -> None:
    with pytest.raises(ConfigError, match=f"layers={count} is out of range"):
        Student(tiny_models.make_model("llama"), count)


def test_student_refuses_a_model_without_a_list_of_layers() -> None:
    with pytest.raises(ConfigError, match="has no list of layers"):
        Student(tiny_models.make_model("gpt2"), 2)


def test_student_learns_what_follows(tmp_path: Path) -> None:
    student = Student(tiny_models.make_model("llama", initializer_range=0.05), 2)
    examples = [make_example(seed, 40, width=0, vocab_size=VOCAB_SIZE) for seed in range(12)]
    with torch.no_grad():
        before = student.losses(collate(examples), 1)[0].item()
    student.rate = 3e-3
    train(student, examples, TrainingOptions(epochs=60, depth=1), tmp_path / "c.pt", lambda _: None)
    assert student.losses(collate(examples), 1)[0].item() < 0.7 * before
    assert survival(student, examples[:2], 2)[0] > 0.5
