"""How many answers of a bundle are, word for word, those of the data.

    python -m benchmarks.studies.exact_match BUNDLE [BUNDLE...] [--data held.jsonl] [--count 200]
                                             [--adapter NAME|DIR]

Without data it is the made-up task of ``benchmarks.harness.json_task``, with a seed that training
data should not have. Prompts go through the chat template; answers are greedy.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.harness.json_task import make_examples
from nanoaccel import LLM, RequestOptions, SamplingParams
from nanoaccel.runtime.adapters.choice import AdapterChoice

_SEED = 2


def exact_match(
    bundle: Path, examples: list[dict[str, str]], adapter: AdapterChoice | None = None
) -> float:
    """Share of the answers that are exact."""
    folders = None if adapter is None else adapter.folders
    options = RequestOptions(adapter=None if adapter is None else adapter.name)
    prompts = [[{"role": "user", "content": one["prompt"]}] for one in examples]
    params = SamplingParams(max_tokens=96, temperature=0.0)
    with LLM(bundle, adapters=folders) as llm:
        outputs = llm.generate(prompts, params, options)
    pairs = zip(outputs, examples, strict=True)
    return sum(out.text.strip() == one["completion"] for out, one in pairs) / len(examples)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="+")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--adapter", type=AdapterChoice.parse)
    parser.add_argument("--count", type=int, default=200)
    given = parser.parse_args()
    if given.data is None:
        examples = make_examples(given.count, _SEED)
    else:
        lines = given.data.read_text(encoding="utf-8").splitlines()
        examples = [json.loads(line) for line in lines[: given.count]]
    for bundle in given.bundle:
        print(
            f"{bundle}: {exact_match(bundle, examples, given.adapter):.1%} of {len(examples)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
