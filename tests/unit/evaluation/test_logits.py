"""Logits of the fake backend, whose cache notices wrong tables, positions and lengths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.fake_llms import CONTEXT, write_bundle

from nanoaccel import registry
from nanoaccel.bundle import Bundle
from nanoaccel.errors import ConfigError
from nanoaccel.evaluation import BundleLogits, logits
from nanoaccel.evaluation.logits import Passage
from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.backends.fake import FakeBackend, hashed
from nanoaccel.runtime.types.plan import Float32Array, StepPlan, StepResult
from nanoaccel.testing.engines import VOCAB_SIZE

PASS = 16
_expected = hashed(VOCAB_SIZE)


class Noting(FakeBackend):
    """Notes the tokens of each pass."""

    def __init__(self, options: BackendOptions) -> None:
        super().__init__(hashed(VOCAB_SIZE), VOCAB_SIZE)
        self.options = options
        self.passes: list[int] = []

    def forward(self, plan: StepPlan) -> StepResult:
        self.passes.append(len(plan.token_ids))
        result = super().forward(plan)
        return StepResult(np.array(result.logits))


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> list[Noting]:
    """Backends that were opened; passes are short, so that windows take several."""
    opened: list[Noting] = []

    def load(options: BackendOptions) -> Noting:
        opened.append(Noting(options))
        return opened[-1]

    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: load)
    monkeypatch.setattr(logits, "_STEP_TOKENS", PASS)
    return opened


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(write_bundle(tmp_path / "letters"))


@pytest.fixture
def reader(backends: list[Noting], bundle: Bundle) -> Iterator[BundleLogits]:  # noqa: ARG001
    with BundleLogits(bundle, length=CONTEXT) as opened:
        yield opened


def _tokens(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, VOCAB_SIZE, length)


def _rows(tokens: np.ndarray, first: int = 0) -> Float32Array:
    return np.stack(
        [_expected(tokens[: place + 1].tolist()) for place in range(first, len(tokens))]
    )


@pytest.mark.parametrize("length", [1, 3, 4, PASS - 1, PASS, PASS + 1, 2 * PASS, CONTEXT])
def test_logits_of_a_window_are_those_of_each_prefix(reader: BundleLogits, length: int) -> None:
    tokens = _tokens(length)
    assert (reader(tokens) == _rows(tokens)).all()


def test_a_window_does_not_depend_on_the_one_before(reader: BundleLogits) -> None:
    first, second = _tokens(50, 1), _tokens(20, 2)
    reader(first)
    assert (reader(second) == _rows(second)).all()


def test_long_windows_go_through_in_chunks(reader: BundleLogits, backends: list[Noting]) -> None:
    reader(_tokens(2 * PASS + 3))
    assert backends[0].passes == [PASS, PASS, 3]


def test_short_passages_share_passes(reader: BundleLogits, backends: list[Noting]) -> None:
    passages = [Passage(_tokens(length, length)) for length in (5, 6, 5, 1, 40, 9)]
    found = [[] for _ in passages]
    for rows in reader.read(passages):
        assert rows.begin == sum(map(len, found[rows.passage]))
        found[rows.passage].append(rows.logits)
    assert backends[0].passes == [16, 16, 16, 16, 2]
    for passage, parts in zip(passages, found, strict=True):
        assert (np.concatenate(parts) == _rows(passage.token_ids)).all()


def test_only_wanted_rows_are_given(reader: BundleLogits) -> None:
    passages = [Passage(_tokens(12, 1), 11), Passage(_tokens(40, 2), 30), Passage(_tokens(3, 3), 1)]
    found = list(reader.read(passages))
    assert [(rows.passage, rows.begin, len(rows.logits)) for rows in found] == [
        (0, 11, 1),
        (1, 30, 6),
        (1, 36, 4),
        (2, 1, 2),
    ]
    for rows in found:
        tokens = passages[rows.passage].token_ids
        wanted = _rows(tokens, rows.begin)[: len(rows.logits)]
        assert (rows.logits == wanted).all()


def test_many_single_tokens_fit_the_cache(reader: BundleLogits) -> None:
    passages = [Passage(_tokens(1, seed)) for seed in range(40)]
    for rows in reader.read(passages):
        assert (rows.logits == _rows(passages[rows.passage].token_ids)).all()


@pytest.mark.parametrize("precision", ["f32", "auto"])
def test_the_precision_is_passed_on(backends: list[Noting], bundle: Bundle, precision: str) -> None:
    BundleLogits(bundle, length=8, precision=precision).close()  # type: ignore[arg-type]
    assert backends[0].options.precision == precision


def test_what_is_not_given_is_what_the_environment_says(
    backends: list[Noting], bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NANOACCEL_PRECISION", "auto")
    for precision in ("f32", None):
        BundleLogits(bundle, length=8, precision=precision).close()  # type: ignore[arg-type]
    assert [backend.options.precision for backend in backends] == ["f32", "auto"]

    resolve, asked = registry.BACKENDS.resolve, []
    monkeypatch.setattr(
        registry.BACKENDS, "resolve", lambda name: asked.append(name) or resolve(name)
    )
    monkeypatch.setenv("NANOACCEL_BACKEND", "torch")
    for backend in ("openvino", None):
        BundleLogits(bundle, length=8, backend=backend).close()
    assert asked == ["openvino", "torch"]


def test_a_length_beyond_the_context_is_refused(bundle: Bundle, backends: list[Noting]) -> None:
    with pytest.raises(ConfigError, match=f"length={CONTEXT + 1} is longer than the context"):
        BundleLogits(bundle, length=CONTEXT + 1)
    assert backends == []


def test_a_cache_that_does_not_fit_closes_the_backend(
    backends: list[Noting], bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Callable[[], None]] = []

    def refuse(*_: object) -> None:
        raise ConfigError("too large")

    monkeypatch.setattr(Noting, "allocate_cache", refuse)
    monkeypatch.setattr(Noting, "close", lambda backend: closed.append(backend))
    with pytest.raises(ConfigError, match="too large"):
        BundleLogits(bundle, length=8)
    assert closed == backends
