"""The engines of a cluster in the order in which a prompt is computed soonest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping

from nanoaccel.fleet.routing.prompt import BLOCK_TOKENS, PromptOutline
from nanoaccel.runtime.replicas.router import Capacity, Router

_ENDED_EARLY = 1024


class EngineRanking:
    """Prefix affinity with a bound by load: the policy of ``runtime.replicas``, for a cluster.

    A request goes where its prompt is cached, unless waiting there takes longer than computing it
    again elsewhere. Engines come and go by name. May be called from any thread.
    """

    def __init__(self) -> None:
        self._router = Router([], BLOCK_TOKENS)
        self._indices: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._free: list[int] = []
        self._numbers = 0
        self._sent: dict[str, tuple[int, str]] = {}
        self._ended_early: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def update(self, engines: Mapping[str, Capacity]) -> None:
        """Say which engines there are; those that are missing have ended.

        Args:
            engines: What each can do, by name.
        """
        with self._lock:
            for name in [name for name in self._indices if name not in engines]:
                self._lose(name)
            for name, capacity in engines.items():
                if name not in self._indices:
                    self._add(name, capacity)

    def lose(self, name: str) -> None:
        """Say that an engine has ended."""
        with self._lock:
            if name in self._indices:
                self._lose(name)

    def ranked(self, prompt: PromptOutline) -> list[str]:
        """The names of all engines, the best one for a prompt first."""
        with self._lock:
            order = self._router.ranked(prompt.tokens, prompt.chain)
            return [self._names[index] for index in order]

    def sent(self, request: str, name: str, prompt: PromptOutline) -> None:
        """Say that a request is worked on by an engine.

        Args:
            request: Its id.
            name: The engine's.
            prompt: What it asks.
        """
        with self._lock:
            index = self._indices.get(name)
            if index is None or request in self._sent:
                return
            self._numbers += 1
            self._router.begin(
                self._numbers, index, tokens=prompt.tokens, chain=prompt.chain, limit=prompt.limit
            )
            self._sent[request] = (self._numbers, name)
            if request in self._ended_early:
                self._end(request)

    def computed(self, request: str) -> None:
        """Say that the prompt of a request was computed: it writes now."""
        with self._lock:
            if request in self._sent:
                self._router.wrote(self._sent[request][0], 1)

    def ended(self, request: str) -> None:
        """Say that a request has ended; it may be told before ``sent`` is."""
        with self._lock:
            if request in self._sent:
                self._end(request)
                return
            self._ended_early[request] = None
            if len(self._ended_early) > _ENDED_EARLY:
                self._ended_early.popitem(last=False)

    def check_integrity(self) -> None:
        """Assert that what is kept agrees, and is bounded."""
        with self._lock:
            self._router.check_integrity()
            assert {self._names[index]: index for index in self._names} == self._indices
            assert not set(self._free) & set(self._names)
            assert all(name in self._indices for _, name in self._sent.values())
            assert len(self._ended_early) <= _ENDED_EARLY

    def _add(self, name: str, capacity: Capacity) -> None:
        if self._free:
            index = self._free.pop()
            self._router.restore(index, capacity)
        else:
            index = self._router.add(capacity)
        self._indices[name], self._names[index] = index, name

    def _lose(self, name: str) -> None:
        for request in [one for one, (_, there) in self._sent.items() if there == name]:
            self._end(request)
        index = self._indices.pop(name)
        del self._names[index]
        self._router.lose(index)
        self._free.append(index)

    def _end(self, request: str) -> None:
        self._ended_early.pop(request, None)
        self._router.end(self._sent.pop(request)[0])
