"""The training corpus of a draft: answers of its target to many kinds of prompts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from nanoaccel.errors import ConfigError
from nanoaccel.finetune.drafts.prompts import Task, make_task
from nanoaccel.finetune.drafts.self_asked import ask_itself
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams, SamplingSettings

_GROUP = 384
_ATTEMPTS = 8  # at a prompt that is new
_OWN = 0.6  # of the prompts are the target's own, if it writes so many
_TEMPERATURE = 0.8  # of every other group; the others are greedy
_ANSWER = 256
_CHUNK = 512  # tokens of a given text that are learned from at once


@dataclass(frozen=True, slots=True)
class Text:
    """A prompt and its answer.

    Args:
        prompt: Token ids; not learned from, but read.
        answer: Token ids.
    """

    prompt: list[int]
    answer: list[int]


def write_corpus(
    llm: LLM,
    file: Path,
    *,
    num_tokens: int,
    seed: int,
    progress: Callable[[int], None],
    group_size: int = _GROUP,
    answer_tokens: int = _ANSWER,
) -> None:
    """Let a target write answers until they have ``num_tokens`` tokens.

    What ``file`` holds already is kept and counted: a run that was stopped goes on.

    Args:
        llm: The target.
        file: JSON lines, a ``Text`` each.
        num_tokens: Tokens of all answers.
        seed: Seed of the prompts and of the sampling.
        progress: Called with the tokens so far.
        group_size: Prompts that are answered together.
        answer_tokens: Tokens of an answer at most.
    """
    texts = list(read_corpus(file))
    _write(file, texts, "w")  # without a line that was cut
    written = sum(len(text.answer) for text in texts)
    progress(written)
    known = {tuple(text.prompt) for text in texts}
    while written < num_tokens:
        group = len(texts)
        source = random.Random(f"{seed} {group}")
        asked = _new_prompts(llm, texts[-group_size:], source, known, group_size)
        params = SamplingParams(
            max_tokens=answer_tokens,
            temperature=_TEMPERATURE if group // group_size % 2 == 1 else 0.0,
            seed=seed + group,
        )
        outputs = llm.generate(asked, SamplingSettings().complete(params))
        new = [
            Text(prompt, list(output.token_ids))
            for prompt, output in zip(asked, outputs, strict=True)
        ]
        _write(file, new, "a")
        texts += new
        written += sum(len(text.answer) for text in new)
        progress(written)


def split_text(llm: LLM, text: str, file: Path) -> None:
    """Make a corpus of a given text instead: pieces of it, without prompts."""
    ids = llm.tokenizer.encode(text)
    if len(ids) < _CHUNK:
        raise ConfigError(
            f"the text has {len(ids)} tokens", f"Give one of at least {_CHUNK}, better 200,000"
        )
    pieces = (ids[start : start + _CHUNK] for start in range(0, len(ids) - 1, _CHUNK))
    _write(file, (Text(piece[:1], piece[1:]) for piece in pieces), "w")


def read_corpus(file: Path) -> Iterator[Text]:
    """The texts of a file that ``write_corpus`` wrote; a line that was cut ends it."""
    if not file.is_file():
        return
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            yield Text(*json.loads(line))
        except (ValueError, TypeError):
            return


def _new_prompts(
    llm: LLM,
    texts: Sequence[Text],
    source: random.Random,
    known: set[tuple[int, ...]],
    count: int,
) -> list[list[int]]:
    """New prompts, none of which was asked before: held-out texts stay apart from training."""
    written = [llm.tokenizer.decode(text.answer) for text in texts]
    own = (Task(text) for text in ask_itself(llm, int(_OWN * count), source))
    others = (make_task(source, written) for _ in range(count * _ATTEMPTS))
    prompts: list[list[int]] = []
    for task in chain(own, others):
        prompt = _encoded(llm, task)
        if tuple(prompt) not in known:
            known.add(tuple(prompt))
            prompts.append(prompt)
        if len(prompts) == count:
            break
    return prompts


def _encoded(llm: LLM, task: Task) -> list[int]:
    if task.is_message and llm.tokenizer.has_chat_template:
        return llm.tokenizer.encode_chat([{"role": "user", "content": task.text}])
    return llm.tokenizer.encode(task.text + "\n" * task.is_message)


def _write(file: Path, texts: Iterable[Text], mode: str) -> None:
    with file.open(mode, encoding="utf-8") as out:
        out.writelines(json.dumps([text.prompt, text.answer]) + "\n" for text in texts)
