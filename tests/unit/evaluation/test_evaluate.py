"""Whole evaluations of bundles on the fake backend."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from support.fake_llms import CONTEXT, write_bundle
from support.paper import add_tokens, write_paper_bundle

from nanoaccel import registry
from nanoaccel.bundle import MANIFEST, Bundle
from nanoaccel.calibration.metrics import FidelityMeter
from nanoaccel.errors import ConfigError, MissingExtraError, SourceError
from nanoaccel.evaluation import evaluate, original, perplexity
from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.backends.fake import FakeBackend, Rule, hashed
from nanoaccel.testing.engines import LETTERS, VOCAB_SIZE

TEXT = "the tide comes in twice a day and the keeper writes it down.\n" * 4
_RULES: dict[str, Rule] = {"first": hashed(VOCAB_SIZE), "second": hashed(VOCAB_SIZE, 2.5)}


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bundle follows the rule of its name."""

    def load(options: BackendOptions) -> FakeBackend:
        return FakeBackend(_RULES[options.graph.parent.name], VOCAB_SIZE)

    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: load)


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "first")


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "second")


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "tide.txt"
    path.write_text(TEXT)
    return str(path)


def _logits(name: str, window: np.ndarray) -> np.ndarray:
    return np.stack([_RULES[name](window[: end + 1].tolist()) for end in range(len(window))])


def test_two_bundles_are_compared_over_the_same_windows(
    first: Path, second: Path, text: str
) -> None:
    found = evaluate(first, against=second, text=text, length=32)
    tokens = np.array([LETTERS.index(letter) for letter in TEXT])
    meter = FidelityMeter()
    for begin in range(0, len(tokens), 32):
        window = tokens[begin : begin + 32]
        meter.add(_logits("first", window), _logits("second", window), window)
    assert asdict(found) == pytest.approx(asdict(meter.result("tide.txt")))


def test_a_bundle_does_not_differ_from_itself(first: Path, tmp_path: Path, text: str) -> None:
    again = shutil.copytree(first, tmp_path / "again" / "first")
    found = evaluate(first, against=again, text=text, length=32)
    assert found.kl == pytest.approx(0, abs=1e-9)
    assert found.top1_agreement == 1
    assert found.perplexity == found.reference_perplexity


def test_perplexity_is_that_of_a_comparison(first: Path, second: Path, text: str) -> None:
    alone = perplexity(first, text=text, length=32)
    compared = evaluate(first, against=second, text=text, length=32)
    assert alone.perplexity == pytest.approx(compared.perplexity)
    assert alone.perplexity_error == pytest.approx(compared.perplexity_error)
    assert alone.tokens == len(TEXT) - 8  # the first token of each window is predicted by nothing


def test_windows_are_no_longer_than_the_context_unless_asked(first: Path, text: str) -> None:
    assert perplexity(first, text=text).tokens == len(TEXT) - 4
    with pytest.raises(ConfigError, match=f"length=65 is longer than .* context, {CONTEXT}"):
        perplexity(first, text=text, length=CONTEXT + 1)


def test_tokens_limit_what_is_read(first: Path, text: str) -> None:
    assert perplexity(first, text=text, tokens=100, length=20).tokens == 5 * 19
    assert perplexity(first, text=text, tokens=10).tokens == 9


def test_docs_are_read_where_no_text_is_named(first: Path) -> None:
    found = perplexity(first, tokens=64)
    assert found.text.startswith("Python's language reference")
    assert found.tokens == 63


def test_a_listener_is_told_what_is_done(first: Path, second: Path, text: str) -> None:
    told: list[str] = []
    evaluate(first, against=second, text=text, length=64, listener=told.append)
    assert told == [
        f"loading {first} and {second}",
        "comparing: 20%",
        "comparing: 50%",
        "comparing: 70%",
        "comparing: 100%",
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tokens": 1}, ConfigError, "tokens=1 is out of range"),
        ({"length": 1}, ConfigError, "length=1 is out of range"),
        ({"text": "nowhere.txt"}, SourceError, "nowhere.txt does not exist"),
        ({"column": "x"}, ConfigError, "column='x' is out of place"),
    ],
)
def test_what_cannot_be_is_refused(
    first: Path, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        perplexity(first, **options)  # type: ignore[arg-type]


def test_a_text_that_is_too_short_is_refused(first: Path, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("a")
    with pytest.raises(SourceError, match=r"short.txt has 1 tokens, and a judgement needs 2"):
        perplexity(first, text=str(tmp_path / "short.txt"))


def test_other_tokens_are_refused(first: Path, second: Path, text: str) -> None:
    add_tokens(second, ["the"])
    with pytest.raises(ConfigError, match=r"second has another tokenizer than .*first"):
        evaluate(first, against=second, text=text)


def test_another_width_of_logits_is_refused(
    first: Path, second: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(options: BackendOptions) -> FakeBackend:
        size = VOCAB_SIZE + (options.graph.parent.name == "second")
        return FakeBackend(hashed(size), size)

    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: load)
    with pytest.raises(ConfigError, match=f"gives {VOCAB_SIZE} logits .* {VOCAB_SIZE + 1}"):
        evaluate(first, against=second, text=text)


def test_a_plain_folder_has_no_original(first: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="does not say which model it was made from"):
        evaluate(first, text=text)


def test_the_original_is_named_with_its_revision(tmp_path: Path) -> None:
    bundle = Bundle.open(write_paper_bundle(tmp_path / "paper"))
    assert original.name_of_original(bundle) == "org/model@abc123"
    assert bundle.manifest is not None
    pinned = replace(bundle.manifest, source={"id": "org/model@main", "revision": "abc123"})
    assert original.name_of_original(replace(bundle, manifest=pinned)) == "org/model@main"


def test_a_model_needs_the_export_extra(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(original, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(MissingExtraError, match="needs torch"):
        evaluate(write_paper_bundle(tmp_path / "paper"), text=text)


def test_an_original_that_is_gone_is_told(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(original, "find_spec", lambda _: object())
    folder = write_paper_bundle(tmp_path / "paper")
    content = json.loads((folder / MANIFEST).read_text())
    content["source"] = {"id": str(tmp_path / "gone"), "revision": None}
    (folder / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(SourceError, match=r"was made from cannot be had: .*gone does not exist"):
        evaluate(folder, text=text)


def test_evaluation_imports_no_torch() -> None:
    code = (
        "import sys, nanoaccel.evaluation, nanoaccel.evaluation.tasks;"
        "print([name for name in ('torch', 'transformers', 'lm_eval') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
