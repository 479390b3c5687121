from __future__ import annotations

import json

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nanoaccel.fleet.routing.prompt import PromptOutline
from nanoaccel.fleet.routing.ranking import EngineRanking
from nanoaccel.runtime.replicas.router import Capacity

EQUAL = Capacity(1.0, 4096)


def prompt(beginning: str, end: str = "", limit: int = 8) -> PromptOutline:
    text = f"{beginning * 400}{end}"
    return PromptOutline.of(json.dumps({"prompt": text, "max_tokens": limit}).encode())


def ranking(*names: str) -> EngineRanking:
    made = EngineRanking()
    made.update(dict.fromkeys(names, EQUAL))
    return made


def test_prompts_spread_and_come_back_to_where_they_began() -> None:
    engines = ranking("a", "b", "c")
    places = {}
    for beginning in "wxyz":
        places[beginning] = engines.ranked(prompt(beginning))[0]
        engines.sent(beginning, places[beginning], prompt(beginning))
    assert set(places.values()) == {"a", "b", "c"}
    for beginning in "wxyz":
        engines.ended(beginning)
    for turn in range(3):
        for beginning in "zxwy":
            assert engines.ranked(prompt(beginning, f"{turn}"))[0] == places[beginning]


def test_prefix_is_followed_until_waiting_takes_longer() -> None:
    engines = ranking("a", "b")
    first = engines.ranked(prompt("w"))[0]
    followed = 0
    for number in range(20):
        if engines.ranked(prompt("w", str(number), 30))[0] != first:
            break
        engines.sent(str(number), first, prompt("w", str(number), 30))
        engines.computed(str(number))
        followed += 1
    assert 2 <= followed < 10
    engines.ended("0")
    engines.ended("1")
    assert engines.ranked(prompt("w", "x", 30))[0] == first


def test_faster_engine_gets_more() -> None:
    engines = EngineRanking()
    engines.update({"slow": Capacity(4, 4096), "fast": Capacity(12, 4096)})
    counts = dict.fromkeys(("slow", "fast"), 0)
    for number in range(40):
        one = prompt(chr(200 + number))
        name = engines.ranked(one)[0]
        engines.sent(str(number), name, one)
        counts[name] += 1
    assert counts["fast"] >= 2 * counts["slow"] > 0


def test_engine_that_ended_is_not_named_and_comes_back_empty() -> None:
    engines = ranking("a", "b")
    engines.sent("r", "a", prompt("w"))
    engines.lose("a")
    engines.lose("a")
    assert engines.ranked(prompt("w")) == ["b"]
    engines.ended("r")
    engines.update({"b": EQUAL, "a2": EQUAL})
    engines.sent("s", "b", prompt("w"))
    engines.ended("s")
    assert engines.ranked(prompt("w"))[0] == "b"
    engines.check_integrity()


def test_request_that_ended_before_it_was_noted_is_no_load() -> None:
    engines = ranking("a", "b")
    engines.ended("r")
    engines.sent("r", "a", prompt("w"))
    assert engines.ranked(prompt("w"))[0] == "a"
    assert engines.ranked(prompt("x")) == ["b", "a"]  # the one that had fewer so far
    engines.check_integrity()


class Comings(RuleBasedStateMachine):
    """Engines and requests come and go in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.engines = EngineRanking()
        self.names: set[str] = set()

    @rule(names=st.sets(st.sampled_from("abcd")))
    def update(self, names: set[str]) -> None:
        self.engines.update(dict.fromkeys(names, EQUAL))
        self.names = set(names)

    @rule(name=st.sampled_from("abcd"))
    def lose(self, name: str) -> None:
        self.engines.lose(name)
        self.names.discard(name)

    @rule(request=st.sampled_from("rstu"), name=st.sampled_from("abcd"), text=st.sampled_from("wx"))
    def send(self, request: str, name: str, text: str) -> None:
        self.engines.sent(request, name, prompt(text))

    @rule(request=st.sampled_from("rstu"))
    def compute(self, request: str) -> None:
        self.engines.computed(request)

    @rule(request=st.sampled_from("rstu"))
    def end(self, request: str) -> None:
        self.engines.ended(request)

    @invariant()
    def agrees(self) -> None:
        self.engines.check_integrity()
        assert set(self.engines.ranked(prompt("w"))) == self.names


TestComings = Comings.TestCase
