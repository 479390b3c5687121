"""Lets two models answer the same prompts, and read the same answers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from nanoaccel.bundle import Bundle
from nanoaccel.errors import ConfigError, GenerationError, PromptTooLongError
from nanoaccel.evaluation.comparison.prompts import ComparisonPrompt
from nanoaccel.evaluation.comparison.reading import (
    AnswerText,
    PredictionFile,
    keep_predictions,
    read_beside,
)
from nanoaccel.evaluation.comparison.result import Answer, ComparedAnswers, Comparison, Side
from nanoaccel.evaluation.logits import BundleLogits
from nanoaccel.evaluation.original import check_same_tokens, check_width
from nanoaccel.evaluation.progress import Listener, in_tenths, tell_nobody
from nanoaccel.exporters.reference.encoder import ModelEncoder
from nanoaccel.runtime.adapters.choice import AdapterChoice
from nanoaccel.runtime.backends import Precision
from nanoaccel.runtime.configure import configure
from nanoaccel.runtime.execution.loader import preferred
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.types.events import Event
from nanoaccel.runtime.types.outputs import RequestOutput
from nanoaccel.text import Tokenizer

Closing = Callable[[LLM], AbstractContextManager[LLM]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """How two models are compared.

    Args:
        max_tokens: Tokens of an answer at most.
        raw: Whether prompts are continued as they are, without the chat template.
        backend_a: Name of what runs A; "auto" is the best that is installed. None is what the
            environment or nanoaccel.toml says, as for ``LLM``, else "auto".
        backend_b: The same of B.
        adapter_a: What A answers with: the name of one of its adapters, or a folder. None is A
            alone.
        adapter_b: The same of B.
        threads: Threads for each; None as for ``backend_a``, else the runtime chooses.
        precision: "auto" is what this CPU does fastest, "f32" shows differences of the weights
            alone; None as for ``backend_a``, else "auto".

    Raises:
        ConfigError: A number is out of range.
    """

    max_tokens: int = 128
    raw: bool = False
    backend_a: str | None = None
    backend_b: str | None = None
    adapter_a: str | None = None
    adapter_b: str | None = None
    threads: int | None = None
    precision: Precision | None = None

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ConfigError(
                f"max_tokens={self.max_tokens} is out of range", "It must be 1 or more"
            )


def compare(
    a: str | Path,
    b: str | Path,
    prompts: Sequence[ComparisonPrompt],
    options: CompareOptions | None = None,
    *,
    listener: Listener | None = None,
    closing: Closing = contextlib.closing,
) -> Comparison:
    """Let two models answer prompts, the likeliest token each time, and read A's answers with both.

    Both get the same tokens, by A's chat template. They are loaded one after the other; what A
    predicts waits in a file in the cache folder, 2 bytes for each word of the vocabulary and token.

    Args:
        a: A bundle, or a plain folder; with torch installed, the folder of a model too.
        b: The same, of the second one.
        prompts: As ``read_prompts`` gives them; 1 or more.
        options: How; None is ``CompareOptions()``.
        listener: Called with what is done.
        closing: Makes the context in which an opened ``LLM`` is used, and closed at its end.

    Raises:
        BundleError: A folder cannot be run, or is damaged.
        ConfigError: The vocabularies differ, the disk is full, or what runs a model computes no
            adapters.
        AdapterError: An adapter cannot be read, or does not fit.
        RequestError: A prompt is too long, the chat template refuses it, or there is no such
            adapter.
        GenerationError: An answer failed.
        MissingExtraError: What a folder needs is not installed.
    """
    options = CompareOptions() if options is None else options
    tell = tell_nobody if listener is None else listener
    first = _Model("A", str(a), Bundle.open(a), options.backend_a, options.adapter_a, options)
    second = _Model("B", str(b), Bundle.open(b), options.backend_b, options.adapter_b, options)
    check_same_tokens(first.bundle, ModelEncoder(second.bundle.tokenizer_folder), str(b))
    tokenizer = Tokenizer.load(first.bundle.tokenizer_folder)
    length = min(first.bundle.context_length, second.bundle.context_length)
    ids = [_encode(prompt, tokenizer, length, raw=options.raw) for prompt in prompts]
    written, side_a = first.answer(ids, length, tell, closing)
    texts = [AnswerText(one.prompt_token_ids, one.token_ids) for one in written]
    with PredictionFile() as file:
        with first.read(texts, tell) as logits:
            keep_predictions(logits, texts, file, in_tenths(tell, "A reads its answers"))
            width = logits.vocab_size
        other, side_b = second.answer(ids, length, tell, closing)
        with second.read(texts, tell) as logits:
            check_width(logits.vocab_size, width)
            share = in_tenths(tell, "B reads the answers of A")
            tokens, fidelity = read_beside(logits, texts, file, tokenizer, share)
    answers = tuple(
        ComparedAnswers(prompt, _answer(one, tokenizer), _answer(two, tokenizer), tuple(read))
        for prompt, one, two, read in zip(prompts, written, other, tokens, strict=True)
    )
    return Comparison(side_a, side_b, answers, fidelity)


@dataclass(frozen=True, slots=True)
class _Model:
    """One of the two, loaded for each of its tasks and freed."""

    letter: str
    given: str
    bundle: Bundle
    backend: str | None
    adapter: str | None
    options: CompareOptions

    @property
    def name(self) -> str:
        """What it is called in the comparison."""
        return self.given if self.adapter is None else f"{self.given} with adapter {self.adapter}"

    def answer(
        self, prompts: Sequence[Sequence[int]], length: int, tell: Listener, closing: Closing
    ) -> tuple[list[RequestOutput], Side]:
        """Answer all prompts, together."""
        done = 0
        share = in_tenths(tell, f"{self.letter} answers")

        def note(event: Event) -> None:
            nonlocal done
            if event.kind == "finished":
                done += 1
                share(done / len(prompts))

        choice = None if self.adapter is None else AdapterChoice.parse(self.adapter)
        asked = RequestOptions(adapter=None if choice is None else choice.name)
        tell(f"loading {self.name}")
        llm = LLM(
            self.bundle.folder,
            backend=self._backend,
            replicas=1,
            on_event=note,
            threads=self.options.threads,
            precision=self.options.precision,
            context_length=length,
            adapters=None if choice is None else choice.folders,
        )
        params = SamplingParams(max_tokens=self.options.max_tokens, temperature=0.0)
        with closing(llm):
            begun = time.perf_counter()
            outputs = llm.generate(prompts, params, options=asked)
            seconds = time.perf_counter() - begun
            backend = llm.backend.name
        for number, output in enumerate(outputs, 1):
            if output.finish_reason == "error":
                raise GenerationError(f"{self.name}, prompt {number}: {output.error}")
        written = sum(len(output.token_ids) for output in outputs)
        return outputs, Side(self.name, backend, written, seconds)

    def read(self, texts: Sequence[AnswerText], tell: Listener) -> BundleLogits:
        """The model opened for reading."""
        tell(f"loading {self.name}")
        return BundleLogits(
            self.bundle,
            length=max(len(text.passage.token_ids) for text in texts),
            backend=self._backend,
            precision=self.options.precision,
            threads=self.options.threads,
            adapter=self.adapter,
        )

    @property
    def _backend(self) -> str:
        """The same backend answers and reads."""
        name = configure({"backend": self.backend}).backend
        return preferred(self.bundle.runtimes) if name == "auto" else name


def _encode(prompt: ComparisonPrompt, tokenizer: Tokenizer, length: int, *, raw: bool) -> list[int]:
    ids = prompt.encode(tokenizer, raw=raw)
    if len(ids) + 1 > length:
        raise PromptTooLongError(
            f"{prompt.where}: the prompt has {len(ids)} tokens; {length - 1} fit",
            "Shorten it",
            prompt_tokens=len(ids),
            context_length=length,
        )
    return ids


def _answer(output: RequestOutput, tokenizer: Tokenizer) -> Answer:
    detokenizer = tokenizer.detokenizer(output.prompt_token_ids, skip_special_tokens=False)
    pieces = [detokenizer.push([token]) for token in output.token_ids]
    pieces[-1] += detokenizer.flush()
    return Answer(output.text, output.token_ids, tuple(pieces), output.finish_reason)
