"""An engine on the fake backend, and a tokenizer whose tokens are single letters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from nanoaccel.runtime.backends.fake import FakeBackend, Rule, hashed
from nanoaccel.runtime.engine import Engine
from nanoaccel.runtime.output import Chunk, Completion, join_chunks
from nanoaccel.runtime.request import Request
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.text import Tokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz .\n!"
VOCAB_SIZE = len(LETTERS) + 2
EOS = VOCAB_SIZE - 1


def letter_tokenizer(folder: Path) -> Tokenizer:
    """One token a letter; the last two ids are <bos> and <eos>."""
    vocabulary = {letter: place for place, letter in enumerate(LETTERS)}
    backend = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="!"))
    backend.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex("[\\s\\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens(["<bos>", "<eos>"])
    backend.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<eos>", "bos_token": "<bos>"}')
    return Tokenizer.load(folder)


class Bench:
    """An engine with its requests, driven step by step.

    The clock stands still unless a test moves it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        rule: Rule | None = None,
        *,
        num_blocks: int = 64,
        max_step_tokens: int = 32,
        max_running: int = 8,
    ) -> None:
        self.tokenizer = tokenizer
        self.time = 0.0
        self.backend = FakeBackend(hashed(VOCAB_SIZE) if rule is None else rule, VOCAB_SIZE)
        self.engine = Engine(
            self.backend,
            num_blocks=num_blocks,
            max_step_tokens=max_step_tokens,
            max_running=max_running,
            clock=lambda: self.time,
        )
        self.chunks: dict[int, list[Chunk]] = {}
        self._ids = count()

    def submit(self, prompt: Sequence[int], **params: object) -> Request:
        chosen = SamplingParams(**params)  # type: ignore[arg-type]
        assert chosen.max_tokens is not None
        request = Request(
            next(self._ids),
            prompt,
            chosen,
            max_tokens=chosen.max_tokens,
            tokenizer=self.tokenizer,
            vocab_size=VOCAB_SIZE,
            seed=0 if chosen.seed is None else chosen.seed,
            index=0,
        )
        self.chunks[request.id] = []
        self.engine.add(request)
        return request

    def step(self) -> None:
        for delivery in self.engine.step():
            self.chunks[delivery.request.id].append(delivery.chunk)
        self.engine.check_integrity()

    def run(self, most: int = 10_000) -> None:
        while self.engine.has_work and most > 0:
            self.step()
            most -= 1
        assert not self.engine.has_work, "the engine makes no progress"

    def result(self, request: Request) -> Completion:
        return join_chunks(self.chunks[request.id])
