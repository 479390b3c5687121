"""Servers over bundles of letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.fake_llms import WatchedBackend, skip_measurements, watch_backends, write_bundle
from support.servers import Served, serving

from nanoaccel.runtime.backends.fake import scripted
from nanoaccel.testing.engines import EOS, LETTERS, VOCAB_SIZE


def next_letter(tokens: Sequence[int]) -> int:
    """The alphabet goes on: ``b`` after ``a``, the end after ``z``."""
    last = tokens[-1]
    if last == LETTERS.index("z"):
        return EOS
    return last + 1 if last < LETTERS.index("z") else 0


@pytest.fixture(autouse=True)
def uncalibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_measurements(monkeypatch)


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> list[WatchedBackend]:
    """The backends that bundles are opened with from now on, in order; they go on the alphabet."""
    return watch_backends(monkeypatch, scripted(VOCAB_SIZE, next_letter))


@pytest.fixture
def letters(tmp_path: Path, backends: list[WatchedBackend]) -> Path:  # noqa: ARG001 - opens it
    """A bundle of letters: a token a letter, chat template, 64 tokens."""
    return write_bundle(tmp_path / "letters")


@pytest.fixture
def served(letters: Path) -> Iterator[Served]:
    with serving(letters) as running:
        yield running


@pytest.fixture
def backend(served: Served, backends: list[WatchedBackend]) -> WatchedBackend:  # noqa: ARG001
    """What runs ``served``."""
    return backends[0]
