from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_llms import WatchedBackend, skip_measurements, watch_backends, write_bundle

from nanoaccel.runtime.llm import LLM
from nanoaccel.testing.engines import letter_tokenizer
from nanoaccel.text import Tokenizer


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return letter_tokenizer(tmp_path_factory.mktemp("letters"))


@pytest.fixture(autouse=True)
def uncalibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_measurements(monkeypatch)


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> list[WatchedBackend]:
    """The backends that bundles are opened with from now on, in order."""
    return watch_backends(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path, backends: list[WatchedBackend]) -> Path:  # noqa: ARG001 - opens it
    """A bundle of letters."""
    return write_bundle(tmp_path / "bundle")


@pytest.fixture
def llm(folder: Path) -> Iterator[LLM]:
    with LLM(folder) as opened:
        yield opened


@pytest.fixture
def backend(llm: LLM, backends: list[WatchedBackend]) -> WatchedBackend:  # noqa: ARG001
    """What runs ``llm``."""
    return backends[0]
