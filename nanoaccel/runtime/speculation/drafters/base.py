"""What a drafter is: it proposes how a text goes on, and the target model verifies that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from nanoaccel.bundle import Bundle
from nanoaccel.runtime.backends import Precision
from nanoaccel.runtime.types.plan import Float32Array, Int64Array

AcceptanceEstimator = Callable[[int], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftOptions:
    """What a drafter that runs a graph is made with.

    Args:
        folder: A bundle, or a head.
        target: Bundle whose tokens are drafted.
        backend: Name of the backend that the target runs on.
        num_blocks: Blocks of the target's cache; the draft's own is made as long.
        max_running: Requests at once at most.
        threads: Threads for the graph; None lets its runtime choose.
        precision: Precision of the graph.
    """

    folder: Path
    target: Bundle
    num_blocks: int
    backend: str = ""
    max_running: int = 32
    threads: int | None = None
    precision: Precision = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrafterOptions:
    """What a drafter is made with.

    Args:
        vocab_size: Tokens of the target.
        corpus_tokens: Tokens of other requests that it may remember; 0 keeps requests apart.
        draft: The graph that it runs; None when there is none.
    """

    vocab_size: int
    corpus_tokens: int = 0
    draft: DraftOptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrafterContext:
    """What is known of a model before it is loaded: enough to say whether a drafter applies.

    Args:
        target: The bundle whose tokens are drafted.
        draft: Folder of its draft, a bundle or a head; None when it has none.
    """

    target: Bundle
    draft: Path | None


class Draft:
    """The next tokens of one request as a drafter expects them, while it writes them.

    A drafter reads ``tokens`` and calls ``add`` until that says to stop.

    Args:
        request_id: Number of the request; the same number is the same text, grown.
        tokens: i64[n], all known tokens; a view that is not to be kept or written to.
        limit: Tokens that it may add at most.
        estimator: From a confidence bucket to the chance that the target accepts a token, given
            that it accepted those before.
        floors: By position, the cumulative acceptance that a draft token must have to be worth
            making; the last one goes for all behind it.
        outlook: The chance that the next draft token is accepted, as far as is known before it is
            made; 1 where drafting costs nothing.

    Attributes:
        proposed: The tokens added.
        buckets: The confidence bucket of each.
        cumulative: The cumulative acceptance of each, the chance that the target reaches and
            accepts it; it never rises. It ends before a token that is known to be wrong.
        lag: Tokens that the drafter had to read first; set by one that follows a text.
    """

    __slots__ = (
        "_estimator",
        "_floors",
        "_outlook",
        "buckets",
        "cumulative",
        "lag",
        "limit",
        "proposed",
        "request_id",
        "tokens",
    )

    def __init__(
        self,
        request_id: int,
        tokens: Int64Array,
        limit: int,
        estimator: AcceptanceEstimator,
        floors: Sequence[float],
        outlook: float = 1.0,
    ) -> None:
        self.request_id = request_id
        self.tokens = _read_only(tokens)
        self.limit = limit
        self.proposed: list[int] = []
        self.buckets: list[int] = []
        self.cumulative: list[float] = []
        self.lag = 0
        self._estimator = estimator
        self._floors = floors
        self._outlook = outlook

    def add(self, token: int, bucket: int) -> bool:
        """Add a draft token; False when the draft is long enough, or the next is not worth it.

        Args:
            token: Its id.
            bucket: Its confidence bucket, how sure the drafter is of it: an index of ``priors``.
        """
        if len(self.proposed) == self.limit:
            return False
        chance = self._estimator(bucket) * (self.cumulative[-1] if self.cumulative else 1.0)
        self.proposed.append(token)
        self.buckets.append(bucket)
        self.cumulative.append(chance)
        count = len(self.proposed)
        floor = self._floors[min(count, len(self._floors) - 1)]
        return count < self.limit and chance * self._outlook >= floor

    def cut(self, count: int) -> None:
        """Note that what stands behind the first so many draft tokens is wrong.

        They are never verified, but remembered, so that the drafter is judged by them too.
        """
        del self.cumulative[count:]


def _read_only(tokens: Int64Array) -> Int64Array:
    view: Int64Array = tokens.view()
    view.flags.writeable = False
    return view


@runtime_checkable
class StateReader(Protocol):
    """A drafter that reads what the target computed."""

    def observe(self, request_id: int, start: int, hidden: Float32Array) -> None:
        """Take the target's states for the tokens of a request from position ``start`` on.

        Args:
            request_id: Number of the request.
            start: Position of the first.
            hidden: f32[T, F], valid during the call.
        """


class Drafter(Protocol):
    """Proposes tokens. One thread calls it.

    It need not be right, or even consistent: a rejected token costs time, and never reaches a text.
    One that raises, or proposes a token that the model does not have, is switched off.
    """

    @property
    def name(self) -> str:
        """As in the registry."""

    @property
    def is_free(self) -> bool:
        """Whether drafting takes no time worth counting; if not, it is asked where it may pay."""

    @property
    def priors(self) -> Sequence[float]:
        """For each confidence bucket, the acceptance rate to begin with."""

    def propose(self, drafts: Sequence[Draft]) -> None:
        """Fill drafts, all of requests that write; one for which nothing is known stays empty."""

    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:
        """Forget a request that has ended with these tokens i64[n]; one it never saw is fine."""

    def close(self) -> None:
        """Free what it holds. Calling it twice is fine."""


class DrafterFactory(Protocol):
    """What is registered under a drafter's name: mostly its class."""

    def __call__(self, options: DrafterOptions) -> Drafter:
        """Make a drafter.

        Raises:
            NanoAccelError: It cannot be had with these options.
        """

    def applies(self, context: DrafterContext) -> bool:
        """Whether it takes part when no drafter is named; without this method, it does not.

        Raises:
            ConfigError: The draft is no folder.
        """

    def hidden_layers(self, context: DrafterContext) -> tuple[int, ...]:
        """Layers of the target, from 0, whose output it reads; without this method, none.

        Raises:
            BundleDamagedError: The draft is damaged.
        """
