"""A function hears of each piece of text: python examples/streaming/callback.py BUNDLE [PROMPT]"""

import sys

from nanoaccel import LLM, Event, SamplingParams


def show(event: Event) -> None:
    """Print new text. It is called by the engine's thread: be quick, and ask it for nothing."""
    if event.chunk is not None:
        print(event.chunk.text, end="", flush=True)


def main(bundle: str, prompt: str = "The tide comes in twice a day, and") -> None:
    with LLM(bundle, on_event=show) as llm:
        output = llm.generate(prompt, SamplingParams(max_tokens=48))
    print(f"\n({output.finish_reason}, {output.usage})")


if __name__ == "__main__":
    main(*sys.argv[1:])
