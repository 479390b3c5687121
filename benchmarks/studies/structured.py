"""Are answers under a grammar valid, whatever the schema, the speculation and the company?

    python -m benchmarks.studies.structured BUNDLE... [--schemas 500]

Random schemas, with speculation and without, one request at a time, 8 and 32 at once; half of them
greedy, half sampled. Every answer that ends by itself is validated by another library. Ends with
exit code 1 when one is not valid.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from benchmarks.harness.figures import table_head, table_row
from benchmarks.harness.machine import machine
from benchmarks.harness.schemas import random_schema
from nanoaccel import LLM, Grammar, SamplingParams
from nanoaccel.errors import SamplingError
from nanoaccel.runtime.types.outputs import Completion

BATCHES = (1, 8, 32)
_MAX_TOKENS = 256
_FORMATS = FormatChecker(("date", "email", "uuid", "ipv4"))


def verdict(schema: dict[str, Any], answer: Completion) -> str:
    """How an answer ended: "valid", "cut" by its limit, or what is wrong."""
    if answer.finish_reason == "length":
        return "cut"
    if answer.finish_reason != "stop":
        return f"wrong: {answer.finish_reason}"
    try:
        content = json.loads(answer.text)
    except ValueError:
        return f"wrong: no JSON: {answer.text[:200]}"
    validator = Draft202012Validator(schema, format_checker=_FORMATS)
    return "valid" if validator.is_valid(content) else f"wrong: {answer.text[:200]} {schema}"


def answers(
    llm: LLM, schemas: list[dict[str, Any]], grammars: list[Grammar], batch: int
) -> list[str]:
    """The verdicts on all schemas, so many at once."""
    found = []
    for begin in range(0, len(schemas), batch):
        places = range(begin, min(begin + batch, len(schemas)))
        prompts = [f"Number {place} as JSON: " for place in places]
        params = [
            SamplingParams(
                grammar=grammars[place],
                temperature=place % 2,
                seed=place,
                max_tokens=_MAX_TOKENS,
            )
            for place in places
        ]
        outputs = llm.generate(prompts, params)
        found += [
            verdict(schemas[place], output.completions[0])
            for place, output in zip(places, outputs, strict=True)
        ]
    return found


def enforceable(count: int) -> tuple[list[dict[str, Any]], list[Grammar], int]:
    """Random schemas with their grammars, and how many more were refused."""
    draw = random.Random(1)
    schemas: list[dict[str, Any]] = []
    grammars: list[Grammar] = []
    refused = 0
    while len(schemas) < count:
        schema = random_schema(draw)
        try:
            grammars.append(Grammar.json_schema(schema))
            schemas.append(schema)
        except SamplingError:
            refused += 1
    return schemas, grammars, refused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--schemas", type=int, default=500)
    arguments = parser.parse_args()
    schemas, grammars, refused = enforceable(arguments.schemas)
    wrong: list[str] = []
    print(f"{machine()}; {len(schemas)} random schemas, {refused} more were refused\n")
    print(table_head(["bundle", "speculation", "at once", "valid", "cut at 256 tokens", "wrong"]))
    for bundle in arguments.bundles:
        for speculation in ("off", "auto"):
            with LLM(bundle, speculation=speculation, replicas=1) as llm:
                for batch in BATCHES:
                    found = answers(llm, schemas, grammars, batch)
                    counts = Counter(one.partition(":")[0] for one in found)
                    wrong += [one for one in found if one.startswith("wrong")]
                    cells = [counts[name] for name in ("valid", "cut", "wrong")]
                    print(table_row([bundle.name, speculation, batch, *cells]), flush=True)
    for one in wrong[:20]:
        print(one)
    sys.exit(int(bool(wrong)))


if __name__ == "__main__":
    main()
