"""Judges a model on what it does not learn: the loss, and answers to a few prompts."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from nanoaccel.finetune.data.encode import Example
from nanoaccel.finetune.events import Sample
from nanoaccel.finetune.train.batches import pack
from nanoaccel.finetune.train.passes import Passes
from nanoaccel.text import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SHOWN = 400  # characters of a prompt's end
_MOST = 96  # tokens of an answer
_CACHES = ("cache", "cache_params", "past_key_values")  # names of the one argument


class Judge:
    """Judges a model that is being trained.

    Args:
        model: The model.
        passes: Computes its losses.
        tokenizer: Of the model.
        held: What it does not learn; may be empty.
        samples: Answers to write, or fewer where there are fewer prompts.
        pass_tokens: Tokens that are computed at once.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        passes: Passes,
        tokenizer: Tokenizer,
        held: Sequence[Example],
        *,
        samples: int,
        pass_tokens: int,
    ) -> None:
        self._model = model
        self._passes = passes
        self._tokenizer = tokenizer
        self._held = held
        lengths = [len(example) for example in held]
        order = sorted(range(len(held)), key=lambda one: lengths[one])
        room = pass_tokens if passes.packs else 1  # padded texts one by one: there are few
        self._plan = pack(order, lengths, room)
        taken = inspect.signature(model.forward).parameters
        self._cache = next(name for name in _CACHES if name in taken)
        self._asked = [example for example in held if example.answer_begin > 0][:samples]

    @property
    def tokens(self) -> int:
        """Tokens that one judgement reads."""
        return sum(map(len, self._held))

    def loss(self) -> float | None:
        """Nats a token; None without a validation set."""
        if not self._held:
            return None
        self._model.eval()
        found = [self._passes.loss([self._held[i] for i in one]) for one in self._plan]
        self._model.train()
        return float(sum(loss for loss, _ in found) / sum(count for _, count in found))

    def samples(self) -> tuple[Sample, ...]:
        """Answers, the likeliest token each time."""
        self._model.eval()
        with torch.inference_mode():
            found = tuple(self._answer(example) for example in self._asked)
        self._model.train()
        return found

    def _answer(self, example: Example) -> Sample:
        begin = example.answer_begin
        prompt, expected = example.ids[:begin].tolist(), example.ids[begin:].tolist()
        written: list[int] = []
        cache: dict[str, Any] = {}
        ids = torch.tensor([prompt])
        for _ in range(_MOST):
            out = self._model(input_ids=ids, use_cache=True, **cache)
            cache = {self._cache: out[self._cache]}
            token = int(out.logits[0, -1].argmax())
            if token in self._tokenizer.eos_token_ids:
                break
            written.append(token)
            ids = torch.tensor([[token]])
        decode = self._tokenizer.decode
        return Sample(decode(prompt)[-_SHOWN:].strip(), decode(expected), decode(written))
