"""Running one prompt and writing its text to standard output as it comes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nanoaccel.errors import GenerationError

if TYPE_CHECKING:
    from nanoaccel.runtime.engine.prompts import Prompt
    from nanoaccel.runtime.llm import LLM
    from nanoaccel.runtime.sampling import SamplingParams
    from nanoaccel.runtime.scheduling.options import RequestOptions
    from nanoaccel.runtime.types.outputs import Chunk, Completion


def complete(
    llm: LLM,
    prompt: Prompt,
    params: SamplingParams,
    options: RequestOptions | None = None,
    *,
    echo: bool,
) -> tuple[Completion, ...]:
    """Run a prompt to its end.

    Args:
        llm: Writes the text.
        prompt: What to continue.
        params: How.
        options: How it is treated.
        echo: Write the text while it comes; only for one completion.

    Raises:
        RequestError: The prompt is refused.
        KeyboardInterrupt: Ctrl-C was pressed; what a single completion has by then is written, and
            ended with a line end.
    """
    from nanoaccel.runtime.types.outputs import join_chunks

    chunks: dict[int, list[Chunk]] = {}
    with ended_line() as line:
        try:
            with llm.stream(prompt, params, options) as stream:
                for chunk in stream:
                    chunks.setdefault(chunk.index, []).append(chunk)
                    if echo:
                        line.write(chunk.text)
        except KeyboardInterrupt:
            if not echo and len(chunks) == 1:
                line.write("".join(chunk.text for parts in chunks.values() for chunk in parts))
            raise
    return tuple(join_chunks(chunks[index]) for index in sorted(chunks))


class Line:
    """Text on standard output, shown at once."""

    def __init__(self) -> None:
        self.open = False

    def write(self, text: str) -> None:
        """Write and flush."""
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()
            self.open = not text.endswith("\n")


@contextmanager
def ended_line() -> Iterator[Line]:
    """A place to write to that ends with a line end, whatever happens."""
    line = Line()
    try:
        yield line
    except BrokenPipeError:
        line.open = False
        raise
    finally:
        if line.open:
            line.write("\n")


def check_completions(completions: tuple[Completion, ...]) -> None:
    """Turn a completion that failed while it ran into an error.

    Raises:
        GenerationError: One has finish_reason "error".
    """
    for completion in completions:
        if completion.finish_reason == "error":
            raise GenerationError(str(completion.error))
