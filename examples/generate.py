"""Continue a prompt: python examples/generate.py BUNDLE [PROMPT]"""

import sys

from nanoaccel import LLM, SamplingParams


def main(bundle: str, prompt: str = "The tide comes in twice a day, and") -> None:
    with LLM(bundle) as llm:
        output = llm.generate(prompt, SamplingParams(max_tokens=32))
    print(prompt + output.text)
    print(f"({output.usage.completion_tokens} tokens, finish reason {output.finish_reason})")


if __name__ == "__main__":
    main(*sys.argv[1:])
