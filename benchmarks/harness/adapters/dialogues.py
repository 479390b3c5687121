"""NanoAccel: dialogues answered at once, with all that speculation did."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from benchmarks.harness.prompts import encode_dialogue
from nanoaccel import LLM, RequestOutput, SamplingParams

_STAT = Path("/proc/stat")


class Dialogues:
    """Options are arguments of ``LLM``; prompts are not kept in the cache."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        self._llm = LLM(folder, prefix_cache=False, **options)

    def vocab_size(self) -> int:
        """Tokens of the model."""
        return len(self._llm.tokenizer.vocabulary())

    def ask(
        self, dialogues: list[list[Any]], max_tokens: int, ignore_eos: bool, temperature: float
    ) -> dict[str, Any]:
        """Answer dialogues at once, turn by turn.

        Args:
            dialogues: The user's messages; or one list of token ids.
            max_tokens: Tokens of an answer at most.
            ignore_eos: Go on behind an end of text.
            temperature: 0 is greedy; else one fixed seed is used.

        Returns:
            ``seconds`` from the start to the last token, the share of the machine that others took,
            and the sums of what is counted of each answer.
        """
        params = SamplingParams(
            max_tokens=max_tokens, ignore_eos=ignore_eos, temperature=temperature, seed=1
        )
        begun, busy = time.perf_counter(), others_seconds()
        answers: list[list[RequestOutput]] = [[] for _ in dialogues]
        for turn in range(max(map(len, dialogues))):
            live = [index for index, texts in enumerate(dialogues) if turn < len(texts)]
            prompts = [
                encode_dialogue(
                    self._llm.tokenizer,
                    dialogues[index][: turn + 1],
                    [answer.text for answer in answers[index]],
                )
                for index in live
            ]
            for index, output in zip(live, self._llm.generate(prompts, params), strict=True):
                answers[index].append(output)
        seconds = time.perf_counter() - begun
        outputs = [output for answer in answers for output in answer]
        return {
            "seconds": seconds,
            "disturbed": (others_seconds() - busy) / (seconds * (os.cpu_count() or 1)),
            "tokens": sum(output.usage.completion_tokens for output in outputs),
            "steps": sum(output.stats.steps for output in outputs),
            "drafted": sum(output.stats.drafted_tokens for output in outputs),
            "accepted": sum(output.stats.accepted_tokens for output in outputs),
            "draft_steps": sum(output.stats.draft_steps for output in outputs),
            "texts": [list(output.token_ids) for output in outputs],
        }

    def close(self) -> None:
        self._llm.close()


def others_seconds() -> float:
    """CPU time that other programs have had so far; 0 where nobody tells."""
    if not _STAT.is_file():
        return 0.0
    fields = [int(field) for field in _STAT.read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _, _, interrupts, soft, steal = fields[:8]
    busy = user + nice + system + interrupts + soft + steal
    return busy / os.sysconf("SC_CLK_TCK") - time.process_time()
