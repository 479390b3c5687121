"""A model learns a form of answers: python examples/training/finetune.py MODEL FOLDER [METHOD]

MODEL is a model in Hugging Face's files, or sample. METHOD is lora, rslora, dora, or qlora, whose
base is in 4 bits in memory. FOLDER gets the data, the adapter, the merged model and its bundle.
"""

import json
import random
import sys
from dataclasses import replace
from pathlib import Path

from nanoaccel import Recipe, export
from nanoaccel.evaluation.comparison import CompareOptions, compare, read_prompts
from nanoaccel.finetune.data.prepare import DataOptions
from nanoaccel.finetune.events import Evaluated, Event
from nanoaccel.finetune.merge import merge
from nanoaccel.finetune.run import finetune
from nanoaccel.finetune.train.options import TrainingOptions

MONTHS = ("January", "March", "May", "July", "August", "October", "December")
OPTIONS = TrainingOptions(epochs=2, batch_tokens=1024, learning_rate=1e-3, evaluations=4)
ROWS, HELD_OUT = 400, 20
RECIPE = Recipe(weights="int8")  # quick to make; without one, the model's size chooses


def write_dates(file: Path, count: int, seed: int) -> None:
    """A made-up task: a sentence becomes a date of another calendar's form."""
    draw = random.Random(seed)
    with file.open("w", encoding="utf-8") as lines:
        for _ in range(count):
            day, month, year = draw.randint(1, 31), draw.choice(MONTHS), draw.randint(1900, 2030)
            prompt = draw.choice(("It was on {0} {1} {2}.", "On {1} {0}, {2}, it rained."))
            answer = f"{year}/{month[:3].upper()}/{day:02}"
            row = {"prompt": prompt.format(day, month, year), "completion": answer}
            lines.write(json.dumps(row) + "\n")


def show(event: Event) -> None:
    """Print the validation loss whenever it was computed."""
    if isinstance(event, Evaluated) and event.loss is not None:
        print(f"step {event.step}: {event.loss:.3f} nats a token")


def teach(model: str, work: Path, method: str) -> None:
    """Write the data, train an adapter, and merge it into the model."""
    work.mkdir(parents=True, exist_ok=True)
    write_dates(work / "train.jsonl", ROWS, seed=1)
    write_dates(work / "validation.jsonl", HELD_OUT, seed=2)
    options = replace(OPTIONS, method=method)
    reading = DataOptions(validation=str(work / "validation.jsonl"))
    finetune(model, str(work / "train.jsonl"), work / "adapter", options, reading, listener=show)
    merge(model, [work / "adapter"], work / "merged")


def main(model: str, folder: str, method: str = "lora") -> None:
    work = Path(folder)
    teach(model, work, method)
    export(model, work / "before", recipe=RECIPE)
    export(work / "merged", work / "after", recipe=RECIPE)
    prompts = read_prompts(work / "validation.jsonl")
    found = compare(work / "before", work / "after", prompts, CompareOptions(max_tokens=24))
    before, after = found.as_expected
    print(f"as expected: {before} of {len(prompts)} before, {after} after")


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]
