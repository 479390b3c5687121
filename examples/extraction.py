"""Mails become records, each as its schema says: python examples/extraction.py BUNDLE"""

import json
import sys
from dataclasses import dataclass

from nanoaccel import LLM, Grammar, SamplingParams


@dataclass
class Order:
    """What a mail asks for."""

    goods: str
    boxes: int
    city: str
    urgent: bool


SCHEMA = {
    "type": "object",
    "properties": {
        "goods": {"type": "string", "maxLength": 40},
        "boxes": {"type": "integer", "minimum": 1, "maximum": 999},
        "city": {"type": "string", "maxLength": 30},
        "urgent": {"type": "boolean"},
    },
    "required": ["goods", "boxes", "city", "urgent"],
    "additionalProperties": False,
}
# The grammar holds the form. What the members mean, only the prompt tells.
RULES = (
    "Extract the order from the mail as JSON with the members goods, boxes (a number), city and "
    "urgent (true or false). Write nothing else."
)
MAILS = (
    "Please send 12 boxes of lamp oil to our shop in Bergen. No hurry.",
    "We are out of sea salt! Four boxes to Porto, today if you can.",
    "Could you bring 30 boxes of roof tiles to Cork some time in May?",
)


def read_orders(llm: LLM, mails: tuple[str, ...]) -> list[Order | None]:
    """The order of each mail; None where the answer was cut short."""
    prompts = [
        [{"role": "system", "content": RULES}, {"role": "user", "content": mail}] for mail in mails
    ]
    params = SamplingParams(max_tokens=160, temperature=0.0, grammar=Grammar.json_schema(SCHEMA))
    outputs = llm.generate(prompts, params)
    return [
        Order(**json.loads(output.text)) if output.finish_reason == "stop" else None
        for output in outputs
    ]


def main(bundle: str) -> None:
    with LLM(bundle) as llm:
        for mail, order in zip(MAILS, read_orders(llm, MAILS), strict=True):
            print(f"{mail}\n  {order}")


if __name__ == "__main__":
    main(*sys.argv[1:])
