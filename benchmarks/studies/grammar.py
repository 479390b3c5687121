"""What a grammar costs in a step, and how fast a JSON answer is with one.

    python -m benchmarks.studies.grammar BUNDLE

Masks are timed inside the engine, as a share of the step, for free text in a JSON string. Answers
follow a schema and are compared with as many tokens written freely right before or after, greedy,
without speculation: what is gained comes from the tokens that the grammar forces.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.harness.figures import in_turn, table_head, table_row
from benchmarks.harness.machine import machine
from nanoaccel import LLM, Grammar, RequestOutput, SamplingParams
from nanoaccel.runtime.sampling.grammar import GrammarMask

FREE_TEXT = Grammar.json_schema({"type": "string", "minLength": 2000})
PERSON = {
    "type": "object",
    "properties": {
        "first_name": {"type": "string", "maxLength": 20},
        "last_name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "city": {"type": "string", "maxLength": 20},
        "occupation": {"type": "string", "maxLength": 30},
        "is_employed": {"type": "boolean"},
    },
    "additionalProperties": False,
}
PERSON["required"] = list(PERSON["properties"])  # type: ignore[call-overload]
SUBJECTS = ("a keeper of a lighthouse", "a nurse", "a baker", "a pilot", "a painter", "a judge")


class MaskShare:
    """What all that a grammar does takes of each step of the engine."""

    def __init__(self, llm: LLM, patched: dict[str, Callable[..., Any]]) -> None:
        engine: Any = llm.client.thread.engine  # type: ignore[attr-defined]
        self._seconds = 0.0
        self.shares: list[float] = []
        for name, method in patched.items():
            setattr(GrammarMask, name, self._timed(method))
        step = engine.step

        def measured() -> None:
            self._seconds = 0.0
            begun = time.perf_counter()
            step()
            self.shares.append(self._seconds / (time.perf_counter() - begun))

        engine.step = measured

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            begun = time.perf_counter()
            try:
                return method(*arguments)
            finally:
                self._seconds += time.perf_counter() - begun

        return timed


def chat(subject: str) -> list[dict[str, str]]:
    """A prompt that asks for JSON."""
    members = ", ".join(PERSON["properties"])  # type: ignore[arg-type]
    return [{"role": "user", "content": f"Invent {subject}. Answer as JSON with {members}."}]


def seconds_per_token(output: RequestOutput) -> float:
    """From the first token to the last."""
    assert output.stats.first_token is not None
    return (output.stats.total - output.stats.first_token) / (output.usage.completion_tokens - 1)


def speedups(llm: LLM, *, flexible: bool, rounds: int) -> tuple[list[float], list[float]]:
    """Of each answer, how much faster its tokens come than free ones, and tokens a step."""
    grammar = Grammar.json_schema(PERSON, flexible_whitespace=flexible)
    ratios: list[float] = []
    per_step: list[float] = []
    for turn, subject in enumerate(SUBJECTS * rounds):
        ways = {
            "grammar": SamplingParams(temperature=0, grammar=grammar, max_tokens=256),
            "free": SamplingParams(temperature=0, ignore_eos=True, max_tokens=60),
        }
        given = {way: llm.generate(chat(subject), ways[way]) for way in in_turn(list(ways), turn)}
        assert given["grammar"].finish_reason == "stop", given["grammar"].text
        ratios.append(seconds_per_token(given["free"]) / seconds_per_token(given["grammar"]))
        per_step.append(given["grammar"].usage.completion_tokens / given["grammar"].stats.steps)
    return ratios, per_step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    methods = ("apply", "accept", "forced", "count_valid")
    with LLM(arguments.bundle, speculation="off", replicas=1) as llm:
        print(f"{llm.backend.name}, {machine()}; medians\n")
        llm.generate(chat("a child"), SamplingParams(grammar=FREE_TEXT, max_tokens=4))
        print(table_head(["whitespace", "speed of a token, free = 1", "tokens a step"]))
        for name, flexible in (("none", False), ("flexible", True)):
            ratios, per_step = speedups(llm, flexible=flexible, rounds=arguments.rounds)
            cells = [f"{statistics.median(ratios):.2f}", f"{statistics.median(per_step):.2f}"]
            print(table_row([name, *cells]))
        share = MaskShare(llm, {name: getattr(GrammarMask, name) for name in methods})
        print("\n" + table_head(["requests at once", "share of a step that the grammar takes"]))
        for batch in (1, 8, 32):
            share.shares.clear()
            params = SamplingParams(grammar=FREE_TEXT, max_tokens=40, ignore_eos=True)
            llm.generate([chat(f"person {number}") for number in range(batch)], params)
            print(table_row([str(batch), f"{statistics.median(share.shares):.2%}"]))


if __name__ == "__main__":
    main()
