from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_llms import write_bundle

from nanoaccel import registry
from nanoaccel.finetune.drafts.self_asked import ask_itself
from nanoaccel.runtime.backends.fake import FakeBackend, hashed
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.types.plan import StepPlan, StepResult
from nanoaccel.testing.engines import VOCAB_SIZE


class Listening(FakeBackend):
    """A backend that remembers the passes."""

    plans: list[list[int]]

    def __init__(self) -> None:
        super().__init__(hashed(VOCAB_SIZE, 1.0), VOCAB_SIZE)
        self.plans = []

    def forward(self, plan: StepPlan) -> StepResult:
        self.plans.append(plan.token_ids.tolist())
        return super().forward(plan)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Listening:
    listening = Listening()
    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: lambda _: listening)
    return listening


TEMPLATE = "{% for message in messages %}ask.{{ message['content'] }}.{% endfor %}"


@pytest.fixture
def llm(tmp_path: Path, backend: Listening) -> Iterator[LLM]:
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / "chat_template.jinja").write_text(TEMPLATE)
    with LLM(bundle, speculation="off") as opened:
        backend.plans.clear()
        yield opened


def test_ask_itself_begins_in_front_of_a_message(llm: LLM, backend: Listening) -> None:
    ask_itself(llm, 1, random.Random(1))
    assert backend.plans[0] == llm.tokenizer.encode("ask.")


def test_ask_itself_gives_messages_that_ended(llm: LLM) -> None:
    messages = ask_itself(llm, 40, random.Random(1))
    assert 0 < len(messages) <= 40
    assert all(message and message == message.strip() for message in messages)
    assert len(set(messages)) > 1


def test_ask_itself_depends_on_the_source_alone(llm: LLM) -> None:
    first = ask_itself(llm, 8, random.Random(3))
    assert ask_itself(llm, 8, random.Random(3)) == first
    assert ask_itself(llm, 8, random.Random(4)) != first


def test_ask_itself_gives_nothing_without_a_chat_template(
    tmp_path: Path, backend: Listening
) -> None:
    bundle = write_bundle(tmp_path / "plain")
    (bundle / "chat_template.jinja").unlink()
    with LLM(bundle, speculation="off") as llm:
        backend.plans.clear()
        assert ask_itself(llm, 4, random.Random(1)) == []
    assert backend.plans == []
