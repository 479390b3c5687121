"""A bundle as lm-evaluation-harness sees a model; imported only where that is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from nanoaccel.bundle import Bundle
from nanoaccel.errors import ConfigError
from nanoaccel.evaluation.likelihood import Continuation, Likelihood, score
from nanoaccel.evaluation.logits import BundleLogits
from nanoaccel.exporters.reference.encoder import ModelEncoder
from nanoaccel.runtime.adapters.choice import AdapterChoice
from nanoaccel.runtime.backends import Precision
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams, SamplingSettings
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.types.events import Event
from nanoaccel.text import Tokenizer

_MAX_TOKENS = 256  # where a task does not say
_LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")

Listener = Callable[[str, float], None]


class BundleLM(TemplateLM):  # type: ignore[misc, unused-ignore]
    """Answers the harness's three questions; the graph is loaded for each, and freed.

    Args:
        bundle: A bundle's folder, or a plain folder that optimum-intel exported.
        precision: As of ``LLM``.
        adapter: What it runs with, as ``AdapterChoice`` takes it; None is the bundle alone.
        listener: Called with the question that is answered, and the share of it.

    Raises:
        BundleError: The folder is not a bundle, or is damaged.
    """

    def __init__(
        self,
        bundle: str | Path,
        *,
        precision: Precision,
        adapter: str | None = None,
        listener: Listener,
    ) -> None:
        super().__init__()
        self._bundle = Bundle.open(bundle)
        self._precision = precision
        self._adapter = adapter
        self._listener = listener
        self._text = Tokenizer.load(self._bundle.tokenizer_folder)
        self._encoder = ModelEncoder(self._bundle.tokenizer_folder)

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text.

        Raises:
            ConfigError: There is none.
        """
        if not self._text.eos_token_ids:
            raise ConfigError(
                f"{self._bundle.folder} names no token that ends a text",
                "Add eos_token to its tokenizer_config.json",
            )
        return min(self._text.eos_token_ids)

    @property
    def prefix_token_id(self) -> int:
        """What stands before the first token of a text."""
        begin = self._text.bos_token_id
        return self.eot_token_id if begin is None else begin

    @property
    def tokenizer_name(self) -> str:
        """Names tokenizer and template, where the harness keeps what it made with them."""
        return str(self._bundle.folder.resolve()).replace("/", "__")

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A conversation as the model reads it.

        Raises:
            ConfigError: The model has no chat template, or it refuses the conversation.
        """
        text = self._encoder.render(chat_history, add_generation_prompt=add_generation_prompt)
        if text is None:
            raise ConfigError(
                f"{self._bundle.folder} has no chat template that takes the task's messages",
                "Leave out --chat",
            )
        return text

    def tok_encode(
        self,
        string: str,
        add_special_tokens: bool | None = None,
        **_: Any,
    ) -> list[int]:
        """Tokens of a text, behind BOS where the model has it and the text has not."""
        ids = self._text.encode(string, add_special_tokens=False)
        begin = self._encoder.begin_ids
        if add_special_tokens is False or ids[: len(begin)] == begin:
            return ids
        return begin + ids

    def loglikelihood_rolling(
        self,
        requests: Sequence[Any],
        disable_tqdm: bool = False,  # noqa: ARG002 - the harness gives it
    ) -> list[float]:
        """Log-probability of each whole text, nats; a long one is read in windows."""
        owners: list[int] = []
        asked: list[Continuation] = []
        for index, request in enumerate(requests):
            for window in self._windows(request.args[0]):
                owners.append(index)
                asked.append(window)
        totals = [0.0] * len(requests)
        for owner, found in zip(owners, self._score(asked), strict=True):
            totals[owner] += found.log_probability
        return totals

    def generate_until(
        self,
        requests: Sequence[Any],
        disable_tqdm: bool = False,  # noqa: ARG002 - the harness gives it
    ) -> list[str]:
        """Continue each context; those with the same parameters run together."""
        alike: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            alike.setdefault(repr(request.args[1]), []).append(index)
        texts = [""] * len(requests)
        done = 0

        def note(event: Event) -> None:
            nonlocal done
            if event.kind in ("finished", "failed"):
                done += 1
                self._listener("generating", done / len(requests))

        choice = None if self._adapter is None else AdapterChoice.parse(self._adapter)
        options = RequestOptions(adapter=None if choice is None else choice.name)
        with LLM(
            self._bundle.folder,
            precision=self._precision,
            on_event=note,
            adapters=None if choice is None else choice.folders,
        ) as llm:
            for indices in alike.values():
                params = sampling_params(requests[indices[0]].args[1])
                assert params.max_tokens is not None
                room = max(1, llm.context_length - params.max_tokens)
                prompts = [self.tok_encode(requests[index].args[0])[-room:] for index in indices]
                outputs = llm.generate(prompts, params, options)
                for index, output in zip(indices, outputs, strict=True):
                    texts[index] = output.text
        return texts

    def _loglikelihood_tokens(
        self,
        requests: Sequence[tuple[tuple[str, str], list[int], list[int]]],
        **_: Any,
    ) -> list[tuple[float, bool]]:
        limit = self._bundle.context_length
        asked = [
            Continuation(tuple(context), tuple(tokens)).within(limit)
            for _, context, tokens in requests
        ]
        return [(found.log_probability, found.greedy) for found in self._score(asked)]

    def _windows(self, text: str) -> Iterator[Continuation]:
        """Each token of a text once, with as much before it as the context holds."""
        for window in get_rolling_token_windows(
            token_list=self._text.encode(text, add_special_tokens=False),
            prefix_token=self.prefix_token_id,
            max_seq_len=self._bundle.context_length,
            context_len=1,
        ):
            context, tokens = make_disjoint_window(window)
            yield Continuation(tuple(context), tuple(tokens))

    def _score(self, asked: Sequence[Continuation]) -> list[Likelihood]:
        if not asked:
            return []
        longest = max(len(continuation.read) for continuation in asked)
        with BundleLogits(
            self._bundle, length=longest, precision=self._precision, adapter=self._adapter
        ) as logits:
            return score(logits, asked, lambda done: self._listener("scoring", done))


def sampling_params(given: Mapping[str, Any]) -> SamplingParams:
    """What a task's ``generation_kwargs`` mean; unless it samples, the likeliest token is taken.

    Args:
        given: ``until`` (text or a list), a limit of tokens under any of its names, ``do_sample``,
            ``temperature``, ``top_p``, ``top_k``.

    Raises:
        SamplingError: A value is out of range.
    """
    until = given.get("until", ())
    stops = (until,) if isinstance(until, str) else () if until is None else tuple(until)
    limits = [given[name] for name in _LIMITS if given.get(name) is not None]
    sampled: dict[str, Any] = {}
    if given.get("do_sample", False):
        sampled = {name: given[name] for name in ("top_p", "top_k") if name in given}
        sampled["temperature"] = given.get("temperature", 1.0)
    asked = SamplingParams(
        max_tokens=int(limits[0]) if limits else _MAX_TOKENS,
        stop=tuple(stop for stop in stops if stop),
        seed=0,
        **sampled,
    )
    return SamplingSettings().complete(asked)  # a task says all that it means
