"""The choices of ``/v1/completions``, whole and in parts, with what they repeat of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nanoaccel.runtime.types.outputs import Chunk, Completion, PromptLogprobs
from nanoaccel.server.models.token_texts import TokenTexts
from nanoaccel.server.openai.answers import finish_reason
from nanoaccel.server.openai.logprobs import CompletionLogprobs, prompt_logprobs


@dataclass(frozen=True, slots=True)
class Told:
    """What choices tell besides the model's own text.

    Args:
        echo: Whether they begin with the prompt.
        logprobs: Number of likeliest tokens beside each, the prompt's too if that is repeated;
            None tells no log-probabilities.
        prompt_logprobs: The same for the prompt in a field of its own, as in vLLM.
    """

    echo: bool
    logprobs: int | None
    prompt_logprobs: int | None

    @property
    def of_prompt(self) -> int | None:
        """Number of likeliest tokens that must be known beside each of the prompt."""
        asked = [self.prompt_logprobs, self.logprobs if self.echo else None]
        return max((top for top in asked if top is not None), default=None)


class CompletionChoices:
    """Writes the choices of all prompts.

    Args:
        told: What they tell.
        texts: Of the model's tokens.
        prompts: Texts of the prompts.
        prompt_ids: Their tokens.
        n: Choices of each.
    """

    def __init__(
        self,
        told: Told,
        texts: TokenTexts,
        prompts: Sequence[str],
        prompt_ids: Sequence[Sequence[int]],
        n: int,
    ) -> None:
        self._told = told
        self._texts = texts
        self._prompts = prompts
        self._prompt_ids = prompt_ids
        self._n = n
        self._logprobs = [CompletionLogprobs(texts) for _ in range(len(prompts) * n)]
        self._of_prompt: PromptLogprobs = ()
        # Parts that came before what their prompts repeat.
        self._held: list[list[Chunk] | None] = [[] if self._scores else None for _ in prompts]

    @property
    def _scores(self) -> bool:
        return self._told.echo and self._told.logprobs is not None

    def whole(self, completion: Completion, index: int) -> dict[str, Any]:
        """A whole choice; to be asked in order."""
        if index % self._n == 0:  # it tells of the prompt for all
            self._of_prompt = completion.prompt_logprobs
        begin = self._echo(index, self._of_prompt) if self._told.echo else None
        choice = self._choice(index, completion, finish_reason(completion))
        if begin is not None:
            choice["text"] = begin["text"] + choice["text"]
            if begin["logprobs"] is not None:
                choice["logprobs"] = {
                    name: [*told, *choice["logprobs"][name]]
                    for name, told in begin["logprobs"].items()
                }
        if self._told.prompt_logprobs is not None:
            top = self._told.prompt_logprobs
            choice["prompt_logprobs"] = prompt_logprobs(self._of_prompt, top, self._texts)
        return choice

    def first(self) -> list[dict[str, Any]]:
        """The choices of a stream's first parts: those that repeat their prompt, and no more."""
        if not self._told.echo or self._scores:
            return []
        return [self._echo(index, ()) for index in range(len(self._logprobs))]

    def parts(self, chunk: Chunk) -> list[dict[str, Any]]:
        """What tells of a chunk; nothing of one that says nothing.

        What repeats a prompt with its log-probabilities goes before all else, and waits until the
        prompt's first completion has told them.
        """
        prompt, place = divmod(chunk.index, self._n)
        held = self._held[prompt]
        if held is None:
            return self._written(chunk)
        held.append(chunk)
        if place > 0:
            return []
        self._held[prompt] = None
        first = chunk.index
        choices = [self._echo(first + i, chunk.prompt_logprobs) for i in range(self._n)]
        return choices + [choice for one in held for choice in self._written(one)]

    def _written(self, chunk: Chunk) -> list[dict[str, Any]]:
        reason = finish_reason(chunk)
        if not chunk.text and reason is None and not chunk.logprobs:
            return []
        return [self._choice(chunk.index, chunk, reason)]

    def _choice(self, index: int, part: Chunk | Completion, reason: str | None) -> dict[str, Any]:
        logprobs = None
        if self._told.logprobs is not None:
            logprobs = self._logprobs[index].part(part.logprobs)
        return {"index": index, "text": part.text, "logprobs": logprobs, "finish_reason": reason}

    def _echo(self, index: int, told: PromptLogprobs) -> dict[str, Any]:
        """The prompt as the beginning of a choice."""
        prompt, logprobs = index // self._n, None
        if self._told.logprobs is not None:
            ids = self._prompt_ids[prompt]
            entries = told if told else (None,) * len(ids)  # it ended before it was computed
            logprobs = self._logprobs[index].prompt(ids, entries, self._told.logprobs)
        text = self._prompts[prompt]
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": None}
