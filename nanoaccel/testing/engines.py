"""An engine on the fake backend, and a tokenizer whose tokens are single letters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from nanoaccel.runtime.adapters.pool import AdapterPool
from nanoaccel.runtime.adapters.registry import RegisteredAdapter
from nanoaccel.runtime.backends.fake import FakeBackend, Rule, hashed, scripted
from nanoaccel.runtime.engine.engine import Engine
from nanoaccel.runtime.execution.pass_time import PassTimeModel
from nanoaccel.runtime.execution.runner import ModelRunner
from nanoaccel.runtime.kv import BlockCopies, CacheEviction, DiskTier, PagedCache
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.scheduling.scheduler import Scheduler
from nanoaccel.runtime.scheduling.token_budget import StepBudget
from nanoaccel.runtime.speculation import Controller, Speculator
from nanoaccel.runtime.speculation.drafters import Drafter
from nanoaccel.runtime.types.events import Event
from nanoaccel.runtime.types.outputs import Chunk, Completion, join_chunks
from nanoaccel.runtime.types.pooling import Pooling
from nanoaccel.text import Tokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz .\n!"
VOCAB_SIZE = len(LETTERS) + 2
TEMPLATE = "{% for message in messages %}{{ message['content'] }}.{% endfor %}"
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


def write_letters(folder: Path, context: int = 64) -> Path:
    """A plain folder with the letter tokenizer, a chat template and a graph that the fake ignores.

    Args:
        folder: Made if it is not there.
        context: Tokens that its model can attend to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    letter_tokenizer(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    (folder / "openvino_model.xml").write_text("<net/>")
    (folder / "openvino_model.bin").write_bytes(b"")
    (folder / "config.json").write_text(f'{{"max_position_embeddings": {context}}}')
    return folder


def next_letter(tokens: Sequence[int]) -> int:
    """A token that depends on all tokens so far, and is found quickly."""
    return hash(tuple(tokens)) % VOCAB_SIZE


def quick() -> Rule:
    """The rule that writes ``next_letter``."""
    return scripted(VOCAB_SIZE, next_letter)


class Bench:
    """An engine with its requests, driven step by step.

    The clock stands still unless a test moves it. After each step it asserts what must hold
    whatever the workload.

    Args:
        tokenizer: Tokenizer of the requests, as ``letter_tokenizer`` makes it.
        rule: What the fake backend computes; ``hashed`` by default, random-looking logits that
            depend on all tokens so far.
        num_blocks: Blocks of the cache, of 4 tokens each.
        max_step_tokens: Tokens in a step at most.
        max_running: Requests that run at the same time at most.
        max_waiting: Requests that may wait.
        attention_scores: Whether the backend tells attention scores.
        hidden_states: Whether the backend tells hidden states.
        folder: Folder of a disk tier; None for none.
        tier_bytes: Bytes that the disk tier may take.
        drafters: Drafters that propose tokens.
        controller: What chooses how many draft tokens are verified; see ``drafters.Always``.
        adapters: Makes what loads adapters into the backend.

    Attributes:
        time: Seconds that the clock shows.
        events: What happened, in order.
        chunks: What each request got, by its number.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> from nanoaccel.testing.engines import Bench, letter_tokenizer
        >>> bench = Bench(letter_tokenizer(Path(mkdtemp())))
        >>> request = bench.submit([0, 1, 2], max_tokens=4, ignore_eos=True)
        >>> bench.run()
        >>> len(bench.result(request).token_ids)
        4
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        rule: Rule | None = None,
        *,
        num_blocks: int = 64,
        max_step_tokens: int = 32,
        max_running: int = 8,
        max_waiting: int = 10_000,
        attention_scores: bool = False,
        hidden_states: bool = False,
        folder: Path | None = None,
        tier_bytes: int = 1 << 20,
        drafters: Sequence[Drafter] = (),
        controller: Controller | None = None,
        adapters: Callable[[FakeBackend], AdapterPool] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.time = 0.0
        chosen = hashed(VOCAB_SIZE) if rule is None else rule
        told = {"attention_scores": attention_scores, "hidden_states": hidden_states}
        self.backend = FakeBackend(chosen, VOCAB_SIZE, **told)
        self.backend.allocate_cache(num_blocks)
        self.tier = (
            None
            if folder is None
            else DiskTier(folder, identity="fake", max_bytes=tier_bytes, memory=self.backend)
        )
        times = PassTimeModel()
        budget = StepBudget(times.step, max_tokens=max_step_tokens, target=None)
        size, copy = self.backend.info.block_size, BlockCopies(self.backend).copy
        self.cache = PagedCache(num_blocks, size, tier=self.tier, copy=copy)
        self.scheduler = Scheduler(
            self.cache,
            budget=budget,
            max_running=max_running,
            max_waiting=max_waiting,
            clock=self.now,
            adapters=None if adapters is None else adapters(self.backend),
        )
        self.speculator = Speculator(
            drafters,
            Controller(PassTimeModel().verify) if controller is None else controller,
            vocab_size=VOCAB_SIZE,
            max_tokens=max_step_tokens,
            clock=self.now,
        )
        self.engine = Engine(
            ModelRunner(self.backend, self.cache, times, budget),
            self.scheduler,
            self.speculator,
            emit=self._note,
            clock=self.now,
        )
        self.events: list[Event] = []
        self.chunks: dict[int, list[Chunk]] = {}
        self._live: dict[int, str] = {}
        self._ids = count()

    def now(self) -> float:
        """Seconds that the clock shows."""
        return self.time

    def make(
        self,
        prompt: Sequence[int],
        *,
        priority: int = 0,
        timeout: float | None = None,
        eviction: CacheEviction | None = None,
        pooling: Pooling | None = None,
        adapter: RegisteredAdapter | None = None,
        **params: object,
    ) -> Request:
        """A request that is not queued.

        Args:
            prompt: Tokens.
            priority: Rank in the queue.
            timeout: Seconds after which it ends; None never.
            eviction: Bound on the tokens that it keeps in the cache.
            pooling: How its states become an embedding, for a request that writes nothing.
            adapter: What it is computed with.
            params: As for ``SamplingParams``; ``max_tokens`` is needed.
        """
        chosen = SamplingParams(**params)  # type: ignore[arg-type]
        assert chosen.max_tokens is not None
        return Request(
            next(self._ids),
            prompt,
            chosen,
            max_tokens=chosen.max_tokens,
            tokenizer=self.tokenizer,
            vocab_size=VOCAB_SIZE,
            seed=0 if chosen.seed is None else chosen.seed,
            index=0,
            options=RequestOptions(priority=priority),
            deadline=None if timeout is None else self.time + timeout,
            eviction=None if eviction is None else eviction.in_blocks(self.cache.block_size),
            pooling=pooling,
            adapter=adapter,
        )

    def add(self, requests: Sequence[Request], *, even_if_full: bool = False) -> None:
        """Queue requests."""
        self.engine.add(requests, even_if_full=even_if_full)
        for request in requests:
            self.chunks[request.id] = []
            self._live[request.id] = "queued"

    def submit(self, prompt: Sequence[int], **options: object) -> Request:
        """Make and queue a request; options as for ``make``."""
        request = self.make(prompt, **options)  # type: ignore[arg-type]
        self.add([request])
        return request

    def step(self) -> None:
        """Run one step, and check the engine's integrity."""
        self.engine.step()
        self.engine.check_integrity()
        for request in self.scheduler.requests():
            assert request.id in self._live
            assert request.eviction is None or request.num_cached < request.eviction.max_tokens

    def run(self, most: int = 10_000) -> None:
        """Run steps until nothing is left, and check that nothing of a request is.

        Args:
            most: Steps after which the engine is said to make no progress.
        """
        while self.engine.has_work and most > 0:
            self.step()
            most -= 1
        assert not self.engine.has_work, "the engine makes no progress"
        assert not self._live, "a request has no end"
        self.speculator.forget_ended()
        kept = (
            self.engine._evictor.scores._sums,
            self.engine.recorder._last_token,
            self.speculator._open,
            *(state.requests for state in self.speculator._states),
            self.scheduler._deadlines._live,
            self.cache._tables,
        )
        assert not any(kept), "something of a request is left"
        assert self.cache.num_free == self.cache.num_blocks, "a block was lost"

    def result(self, request: Request) -> Completion:
        """What a request got in all."""
        return join_chunks(self.chunks[request.id])

    def close(self) -> None:
        """Write the cached blocks to the tier."""
        assert self.tier is not None
        self.cache.save_all()
        self.tier.close()

    def _note(self, event: Event) -> None:
        before = self._live[event.request_id]
        if event.kind == "started":
            assert before == "queued"
        elif event.kind == "token":
            assert before in ("started", "token")
        self.events.append(event)
        if event.chunk is not None:
            self.chunks[event.request_id].append(event.chunk)
        if event.kind in ("finished", "failed"):
            del self._live[event.request_id]
        else:
            self._live[event.request_id] = event.kind
