"""Continue several prompts together: python examples/batch.py BUNDLE [PROMPT ...]"""

import sys

from nanoaccel import LLM, SamplingParams

PROMPTS = ["One, two, three,", "Monday, Tuesday,", "The keeper of the light"]


def main(bundle: str, *prompts: str) -> None:
    chosen = list(prompts) if prompts else PROMPTS
    with LLM(bundle) as llm:
        outputs = llm.generate(chosen, SamplingParams(max_tokens=24, stop=("\n",)))
    for prompt, output in zip(chosen, outputs, strict=True):
        print(f"{prompt}{output.text} [{output.finish_reason}]")


if __name__ == "__main__":
    main(*sys.argv[1:])
