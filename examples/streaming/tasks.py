"""Write several texts at once: python examples/streaming/tasks.py BUNDLE [PROMPT ...]"""

import asyncio
import sys

from nanoaccel import AsyncLLM, SamplingParams

PROMPTS = ["One, two, three,", "Monday, Tuesday,", "The keeper of the light"]


async def show(llm: AsyncLLM, name: str, prompt: str) -> None:
    # Leaving the block early, or cancelling the task, would end the request.
    async with llm.stream(prompt, SamplingParams(max_tokens=24)) as stream:
        async for chunk in stream:
            print(f"{name}: {chunk.text!r}", flush=True)


async def main(bundle: str, *prompts: str) -> None:
    chosen = prompts if prompts else PROMPTS
    async with AsyncLLM(bundle) as llm:
        await asyncio.gather(
            *(show(llm, f"stream {number}", prompt) for number, prompt in enumerate(chosen, 1))
        )
        counters = llm.counters()
    print(f"{counters.generated_tokens} tokens in {counters.steps} passes through the model")
    print(f"first token after {counters.first_token.p50:.3f} s (median)")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
