"""A model that calls functions until it can answer: python examples/agent.py BUNDLE [QUESTION]

A grammar made of the functions' signatures holds each step, so any model makes calls that can be
made, those included that never learned to. For models that did, the server does this with the
form that they know: see docs/how-to/tools.md.
"""

import inspect
import json
import sys
from collections.abc import Callable
from typing import Any

from nanoaccel import LLM, Grammar, SamplingParams

STOCK = {"lamp oil": 14, "sea salt": 3, "roof tiles": 250}


def in_stock(goods: str) -> int:
    """How many boxes of some goods there are."""
    return STOCK.get(goods, 0)


def multiply(a: int, b: int) -> int:
    """The product of two numbers."""
    return a * b


TOOLS: dict[str, Callable[..., Any]] = {"in_stock": in_stock, "multiply": multiply}
TYPES = {str: {"type": "string", "maxLength": 40}, int: {"type": "integer"}}
STEPS = 5


def form(members: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object with these members, all of them."""
    return {
        "type": "object",
        "properties": members,
        "required": list(members),
        "additionalProperties": False,
    }


def call_form(name: str) -> dict[str, Any]:
    """The schema of a call of a function, from its signature."""
    parameters = inspect.signature(TOOLS[name]).parameters.values()
    arguments = form({one.name: TYPES[one.annotation] for one in parameters})
    return form({"call": {"const": name}, "arguments": arguments})


ANSWER = form({"answer": {"type": "string", "maxLength": 300}})
STEP = Grammar.json_schema({"anyOf": [ANSWER, *map(call_form, TOOLS)]})
LAST = Grammar.json_schema(ANSWER)


def instructions() -> str:
    """What the model is told of its functions."""
    lines = [
        f"- {name}{inspect.signature(function)}: {inspect.getdoc(function)}"
        for name, function in TOOLS.items()
    ]
    return (
        "You answer questions about a store. You can call these functions:\n"
        + "\n".join(lines)
        + '\nWrite one JSON object: {"call": name, "arguments": {...}} to call one, and '
        '{"answer": text} when you know the answer.'
    )


def run(llm: LLM, question: str) -> str:
    """Let the model call functions, and give its answer."""
    messages = [
        {"role": "system", "content": instructions()},
        {"role": "user", "content": question},
    ]
    for left in reversed(range(STEPS)):
        grammar = STEP if left > 0 else LAST
        output = llm.generate(messages, SamplingParams(max_tokens=200, grammar=grammar, seed=1))
        if output.finish_reason != "stop":
            return f"(no answer: {output.finish_reason})"
        step = json.loads(output.text)
        if "answer" in step:
            return str(step["answer"])
        result = TOOLS[step["call"]](**step["arguments"])
        print(f"{step['call']}({step['arguments']}) = {result}")
        messages += [
            {"role": "assistant", "content": output.text},
            {"role": "user", "content": f"Result: {result}"},
        ]
    raise AssertionError("the last step is an answer")


def main(bundle: str, question: str = "How many boxes of sea salt are in stock?") -> None:
    with LLM(bundle) as llm:
        print(run(llm, question))


if __name__ == "__main__":
    main(*sys.argv[1:])
