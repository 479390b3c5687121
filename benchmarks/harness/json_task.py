"""A made-up task that no model knows: a sentence of an order becomes JSON of one fixed form.

python -m benchmarks.harness.json_task train.jsonl 1000 --seed 1
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

_ITEMS = (
    *("green tea", "roof tiles", "copper wire", "lamp oil", "oak boards", "wool blankets"),
    *("paper bags", "glass jars", "steel bolts", "sea salt", "garden chairs", "candles"),
    *("brown rice", "ink bottles", "rubber boots", "maps", "tin cups", "winter coats"),
)
_NAMES = (
    *("Anna Meier", "Tom Okafor", "Lucia Ferri", "Ben Sato", "Nora Lind", "Omar Haddad"),
    *("Eva Novak", "Paul Grant", "Mina Rao", "Leo Duarte", "Ida Holm", "Karl Weber"),
)
_CITIES = (
    *("Oslo", "Lima", "Kyoto", "Porto", "Gdansk", "Accra", "Turin", "Perth", "Cork", "Bergen"),
    *("Quito", "Leeds", "Basel", "Tampa", "Izmir"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")
_URGENT = ("It is urgent.", "Please hurry.", "This cannot wait.", "As fast as you can.")
_FORMS = (
    "Please send {count} boxes of {item} to {name} in {city} by {day}.",
    "{name} from {city} wants {count} boxes of {item} on {day}.",
    "By {day}, {count} boxes of {item} must be at {name}'s place in {city}.",
    "We need to ship {item} to {city}: {count} boxes, for {name}, {day} at the latest.",
    "Could {name} get {count} boxes of {item}? The address is in {city}, and {day} is fine.",
    "An order came in: {item}, {count} boxes, {city}, {day}, attention {name}.",
)


def make_example(source: random.Random) -> dict[str, str]:
    """A sentence and the JSON that it becomes."""
    count = source.randint(2, 11)
    said = _NUMBERS[count - 2] if source.random() < 0.5 else str(count)
    urgent = source.random() < 0.3
    values = {
        "item": source.choice(_ITEMS),
        "name": source.choice(_NAMES),
        "city": source.choice(_CITIES),
        "day": source.choice(_DAYS),
    }
    sentence = source.choice(_FORMS).format(count=said, **values)
    if urgent:
        sentence = f"{sentence} {source.choice(_URGENT)}"
    answer = {
        "goods": values["item"],
        "boxes": count,
        "to": {"person": values["name"], "place": values["city"]},
        "due": values["day"][:3].upper(),
        "urgent": urgent,
    }
    return {"prompt": sentence, "completion": json.dumps(answer)}


def make_examples(count: int, seed: int) -> list[dict[str, str]]:
    """So many different examples."""
    source = random.Random(seed)
    found: dict[str, dict[str, str]] = {}
    while len(found) < count:
        example = make_example(source)
        found.setdefault(example["prompt"], example)
    return list(found.values())


def write_examples(path: Path, count: int, seed: int) -> None:
    """Write them as JSON lines."""
    lines = (json.dumps(example) + "\n" for example in make_examples(count, seed))
    path.write_text("".join(lines), encoding="utf-8")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write_examples(given.out, given.count, given.seed)


if __name__ == "__main__":
    main()
