"""Answer a question while it is written: python examples/streaming/iterator.py BUNDLE [QUESTION]"""

import sys

from nanoaccel import LLM, SamplingParams


def main(bundle: str, question: str = "Why is the sky blue?") -> None:
    messages = [{"role": "user", "content": question}]
    with LLM(bundle) as llm:
        for chunk in llm.stream(messages, SamplingParams(max_tokens=64, temperature=0.7, seed=1)):
            print(chunk.text, end="", flush=True)
            if chunk.finish_reason is not None:
                print(f"\n({chunk.finish_reason}, {chunk.usage})")


if __name__ == "__main__":
    main(*sys.argv[1:])
