"""A long prompt that is computed once: python examples/prompt_cache.py BUNDLE [FOLDER]

The model is opened twice. What the first computed of the prompt lies in the folder, and the second
takes it from there. Without FOLDER a temporary one is used.
"""

import sys
import tempfile

from nanoaccel import LLM, SamplingParams

RULES = "Answer in one sentence. Say nothing about the weather, the tide or the time of day. " * 12
QUESTIONS = ["Why is the sky blue?", "What does a lighthouse keeper do?"]


def main(bundle: str, folder: str) -> None:
    for start in (1, 2):
        with LLM(bundle, prompt_cache=folder) as llm:
            for question in QUESTIONS:
                output = llm.generate(f"{RULES}\n\n{question}", SamplingParams(max_tokens=16))
                print(
                    f"start {start}: {output.stats.cached_tokens} of {output.usage.prompt_tokens} "
                    f"prompt tokens from the cache; {output.text!r}"
                )
            counters = llm.counters()
        print(
            f"start {start}: {counters.hit_rate:.0%} of the tokens were not computed, "
            f"{counters.restored_tokens} of them came from the folder"
        )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        main(*sys.argv[1:])
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(sys.argv[1], temporary)
