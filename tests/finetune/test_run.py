"""A training from data to an adapter: told, judged, repeatable, and gone on with when stopped."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.training_data import letters, write_lines

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from nanoaccel.errors import ConfigError, ExportError, SourceError  # noqa: E402
from nanoaccel.finetune.data.prepare import DataOptions  # noqa: E402
from nanoaccel.finetune.events import Evaluated, Event, Planned, Stepped  # noqa: E402
from nanoaccel.finetune.run import Trained, finetune  # noqa: E402
from nanoaccel.finetune.train.options import TrainingOptions  # noqa: E402

pytestmark = pytest.mark.export

OPTIONS = TrainingOptions(
    rank=4,
    dropout=0.1,
    epochs=2,
    batch_tokens=200,
    pass_tokens=150,
    evaluations=2,
    samples=1,
    learning_rate=5e-3,
)
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("data") / "letters.jsonl", letters())


def train(model: Path, data: Path, out: Path, **more: Any) -> tuple[Trained, list[Event]]:
    """Train, and give all that was told."""
    told: list[Event] = []
    options = more.pop("options", OPTIONS)
    return finetune(str(model), str(data), out, options, listener=told.append, **more), told


@pytest.fixture(scope="module")
def first(
    tiny_model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Trained, list[Event]]:
    """A training that nothing stopped."""
    return train(tiny_model, data, tmp_path_factory.mktemp("runs") / "first")


def test_a_training_learns_and_tells(first: tuple[Trained, list[Event]]) -> None:
    made, told = first
    assert made.history is not None
    steps = [event for event in told if isinstance(event, Stepped)]
    judged = [event for event in told if isinstance(event, Evaluated)]
    assert [one.step for one in steps] == list(range(1, len(steps) + 1))
    assert steps[-1].seconds_left == 0
    assert judged[0].step == 0
    assert judged[-1].step == len(steps)
    assert judged[0].loss is not None
    best = made.history.best
    assert best is not None
    assert best.loss is not None
    assert best.loss < 0.9 * judged[0].loss
    assert judged[0].samples[0].expected.strip("abcdefgh") == ""
    planned = next(event for event in told if isinstance(event, Planned))
    facts = dict(planned.rows)
    assert facts["examples"] == "38 to learn, 2 held out"
    assert facts["trained weights"].startswith("11,136; ")
    assert facts["steps"].endswith("texts packed")
    assert not list(made.folder.parent.glob(".*"))  # nothing is left beside it


def test_a_report_shows_curves_and_answers(first: tuple[Trained, list[Event]]) -> None:
    folder = first[0].folder
    page = (folder / "report.html").read_text()
    assert "<svg" in page
    assert "polyline" in page
    assert "validation set" in page
    assert "<script" not in page
    content = json.loads((folder / "training.json").read_text())
    assert len(content["history"]["losses"]) == len(first[0].history.losses)  # type: ignore[union-attr]
    assert content["options"]["rank"] == 4
    assert (folder / "curves.svg").read_text().startswith("<svg")


def test_peft_opens_the_adapter_and_gives_the_same_logits(
    first: tuple[Trained, list[Event]], tiny_model: Path
) -> None:
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    folder = first[0].folder
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        before = model(ids).logits
        adapted = PeftModel.from_pretrained(model, str(folder))
        after = adapted(ids).logits
    assert (after - before).abs().max() > 0.1
    own = {name for name, _ in adapted.named_parameters() if "lora_" in name}
    assert len(own) == len(load_file(folder / WEIGHTS)) == 42


def test_the_same_seed_gives_the_same_bits(
    first: tuple[Trained, list[Event]], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    again, _ = train(tiny_model, data, tmp_path / "again")
    other, _ = train(tiny_model, data, tmp_path / "other", options=replace(OPTIONS, seed=1))
    bits = (first[0].folder / WEIGHTS).read_bytes()
    assert (again.folder / WEIGHTS).read_bytes() == bits
    assert (other.folder / WEIGHTS).read_bytes() != bits


_CHILD = """
import os, signal, sys
from pathlib import Path
from nanoaccel.finetune import run
from nanoaccel.finetune.events import Stepped
from nanoaccel.finetune.train import loop
from nanoaccel.finetune.train.options import TrainingOptions

loop.Training.__init__.__defaults__ = (-1.0,)
signal.signal(signal.SIGINT, signal.default_int_handler)

def listen(event):
    if isinstance(event, Stepped) and event.step == 5:
        os.kill(os.getpid(), int(sys.argv[5]))

run.finetune(sys.argv[1], sys.argv[2], Path(sys.argv[3]), eval(sys.argv[4]), listener=listen)
"""


def stopped(model: Path, data: Path, out: Path, by: signal.Signals) -> None:
    """Train in a process of its own, which a signal ends in the fifth step."""
    arguments = [str(model), str(data), str(out), repr(OPTIONS), str(int(by))]
    ended = subprocess.run([sys.executable, "-c", _CHILD, *arguments], capture_output=True)
    assert ended.returncode != 0
    assert by is signal.SIGKILL or ended.stderr.endswith(b"KeyboardInterrupt\n")
    assert not out.exists()


def test_a_killed_training_is_gone_on_with_bit_for_bit(
    first: tuple[Trained, list[Event]], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    stopped(tiny_model, data, out, signal.SIGKILL)
    with pytest.raises(ConfigError, match="holds a training that was stopped"):
        train(tiny_model, data, out)
    made, told = train(tiny_model, data, out, resume=True)
    # The step that was not saved is done again.
    assert next(event.step for event in told if isinstance(event, Stepped)) == 5
    assert_same(made, first[0])


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_lose_nothing(
    first: tuple[Trained, list[Event]],
    tiny_model: Path,
    data: Path,
    tmp_path: Path,
    by: signal.Signals,
) -> None:
    out = tmp_path / "out"
    stopped(tiny_model, data, out, by)
    with pytest.raises(ConfigError, match="had rank=4, this one 8"):
        train(tiny_model, data, out, options=replace(OPTIONS, rank=8), resume=True)
    other = write_lines(tmp_path / "other.jsonl", letters(39))
    with pytest.raises(ConfigError, match="the training that was stopped had data="):
        train(tiny_model, other, out, resume=True)
    made, told = train(tiny_model, data, out, resume=True)
    assert next(event.step for event in told if isinstance(event, Stepped)) == 6
    assert_same(made, first[0])


def assert_same(made: Trained, other: Trained) -> None:
    """Two trainings made the same bits, by the same losses."""
    assert (made.folder / WEIGHTS).read_bytes() == (other.folder / WEIGHTS).read_bytes()
    assert made.history is not None
    assert other.history is not None
    assert made.history.losses == other.history.losses


def test_a_stopped_training_can_be_forgotten(tiny_model: Path, data: Path, tmp_path: Path) -> None:
    work = tmp_path / ".out.finetuning"
    work.mkdir()
    (work / "step-0000001.pt").touch()
    options = replace(OPTIONS, epochs=0.1)
    made, told = train(tiny_model, data, tmp_path / "out", options=options, overwrite=True)
    assert next(event.step for event in told if isinstance(event, Stepped)) == 1
    assert made.folder.is_dir()
    assert not work.exists()


def test_it_stops_early_and_keeps_the_best(tiny_model: Path, data: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, learning_rate=5.0, evaluations=8, patience=1, epochs=4)
    made, _ = train(tiny_model, data, tmp_path / "out", options=options)
    assert made.history is not None
    best = made.history.best
    assert best is not None
    assert made.history.evaluations[-2:][0] == best
    assert len(made.history.evaluations) < 9


@pytest.mark.parametrize("method", ["rslora", "dora", "qlora", "full"])
def test_other_methods_learn(method: str, tiny_model: Path, data: Path, tmp_path: Path) -> None:
    rate = 1e-3 if method == "full" else 5e-3
    options = replace(OPTIONS, method=method, learning_rate=rate, gradient_checkpointing=True)
    made, _ = train(tiny_model, data, tmp_path / "out", options=options)
    assert made.history is not None
    first_loss, best = made.history.evaluations[0].loss, made.history.best
    assert best is not None
    assert best.loss is not None
    assert first_loss is not None
    assert best.loss < 0.9 * first_loss
    whole = (made.folder / "model.safetensors").is_file()
    assert whole == (method == "full")


def test_only_what_is_asked_is_trained(tiny_model: Path, data: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    options = replace(OPTIONS, modules=("q_proj", "v_proj"), layers=(0, 2), epochs=0.1)
    made, _ = train(tiny_model, data, tmp_path / "out", options=options)
    names = load_file(made.folder / WEIGHTS)
    layers = {name.split(".layers.")[1].split(".")[0] for name in names}
    assert layers == {"0", "2"}
    assert {name.split(".")[-3] for name in names} == {"q_proj", "v_proj"}


def test_layers_alone_get_all_their_modules(tiny_model: Path, data: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    made, _ = train(
        tiny_model, data, tmp_path / "out", options=replace(OPTIONS, layers=(1,), epochs=0.1)
    )
    places = [name.split(".layers.")[1].split(".") for name in load_file(made.folder / WEIGHTS)]
    assert {place[0] for place in places} == {"1"}
    modules = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert {place[2] for place in places} == modules


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"modules": ("q_prj",)}, "has no modules named 'q_prj'. It has down_proj"),
        ({"layers": (3,)}, "layers=3 is out of range. The model has blocks 0 to 2"),
        ({"method": "full", "layers": (7,)}, "layers=7 is out of range"),
    ],
)
def test_what_the_model_has_not_is_refused(
    options: dict[str, Any], what: str, tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=what):
        train(tiny_model, data, tmp_path / "out", options=replace(OPTIONS, **options))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "magic"},
        {"rank": 0},
        {"rank": 100_000},
        {"epochs": 0},
        {"epochs": math.inf},
        {"seed": -1},
        {"seed": 10**23},
        {"dropout": 1},
        {"patience": 0},
        {"learning_rate": -1},
        {"batch_tokens": 0},
    ],
)
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"{name}="):
        replace(OPTIONS, **wrong)


def test_stopping_early_needs_a_validation_set(
    tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    options, nothing = replace(OPTIONS, patience=1), DataOptions(validation_share=0)
    with pytest.raises(ConfigError, match="patience=1 needs a validation set"):
        train(tiny_model, data, tmp_path / "out", options=options, data_options=nothing)


def test_a_plan_alone_leaves_nothing(tiny_model: Path, data: Path, tmp_path: Path) -> None:
    made, told = train(tiny_model, data, tmp_path / "out", plan_only=True)
    assert made.history is None
    assert not any(isinstance(event, Stepped) for event in told)
    assert list(tmp_path.iterdir()) == []


def test_what_stands_at_the_place_is_not_replaced(
    tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExportError):
        train(tiny_model, data, tmp_path, overwrite=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_prompts_that_fill_what_is_read_are_named(
    tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=r"longer than 5 tokens, and no answer begins before"):
        train(tiny_model, data, tmp_path / "out", data_options=DataOptions(max_length=5))


def test_examples_longer_than_the_context_are_refused(
    tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="max_length=5000 is more than the model reads"):
        train(tiny_model, data, tmp_path / "out", data_options=DataOptions(max_length=5000))
