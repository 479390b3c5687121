from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.grammar_llms import JsonBackend, guesses_of, write_bundle

from nanoaccel import registry
from nanoaccel.runtime.engine import assembly
from nanoaccel.runtime.llm import LLM
from nanoaccel.testing.drafters import Always, Guesser

OpenLLM = Callable[..., LLM]


@pytest.fixture(scope="session")
def json_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("grammar") / "bundle")


@pytest.fixture(scope="session")
def endless_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose tokenizer has no token for the end."""
    return write_bundle(tmp_path_factory.mktemp("grammar") / "endless", eos=False)


@pytest.fixture(scope="module")
def open_llm() -> Iterator[OpenLLM]:
    """Opens bundles on ``JsonBackend``; they are closed at the end."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr(registry.BACKENDS, "resolve", lambda _: JsonBackend)
        patch.setattr(assembly, "measure_verification", lambda *_, **__: None)

        def open_one(folder: Path, **options: Any) -> LLM:
            return stack.enter_context(LLM(folder, **options))

        yield open_one


@pytest.fixture(scope="module")
def plain(open_llm: OpenLLM, json_bundle: Path) -> LLM:
    return open_llm(json_bundle, speculation="off")


@pytest.fixture(scope="module")
def guessed(open_llm: OpenLLM, json_bundle: Path) -> LLM:
    """The same model, for which a drafter guesses, often what the model would write freely."""
    with pytest.MonkeyPatch.context() as patch:
        guesser = Guesser(guesses_of(json_bundle))
        patch.setattr(assembly, "select_drafters", lambda *_: {"ngram": lambda _: guesser})
        patch.setattr(assembly, "Controller", lambda _, pad: Always(pad))
        return open_llm(json_bundle)
