"""What plugins of all kinds can do in an engine, and that none takes it down."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from support.fake_llms import skip_measurements, watch_backends, write_bundle
from support.plugins import Install

from nanoaccel import LLM, Grammar, SamplingParams
from nanoaccel.errors import ConfigError, PluginError, SamplingError
from nanoaccel.testing.engines import LETTERS

TEN = SamplingParams(max_tokens=10, ignore_eos=True)
DRAFTER = """
class Mine:
    name = "mine"
    is_free = True
    priors = (0.5,)
    def __init__(self, options): {init}
    @staticmethod
    def applies(context): {applies}
    def propose(self, drafts): {propose}
    def finish(self, request_id, tokens, num_prompt): pass
    {close}
"""
GOOD = {"init": "pass", "applies": "return True", "propose": "pass", "close": "def close(self): 0"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    watch_backends(monkeypatch)
    skip_measurements(monkeypatch)
    return write_bundle(tmp_path / "letters")


def write(folder: Path, **options: object) -> list[tuple[int, ...]]:
    """What a model of letters writes; its bits depend on the prompt alone."""
    with LLM(folder, **options) as llm:  # type: ignore[arg-type]
        return [output.token_ids for output in llm.generate(["tide", "keeper", "tide"], TEN)]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"applies": "raise OSError('none')"}, "drafter 'mine' failed with OSError: none"),
        ({"init": "raise KeyError('key')"}, "drafter 'mine' failed with KeyError: 'key'"),
        ({"propose": "1 / 0"}, "drafter 'mine' failed with ZeroDivisionError"),
        ({"propose": "drafts[0].add(999, 0)"}, "token 999 is not one of"),
        ({"propose": "drafts[0].add(1, 5)"}, "drafter 'mine' failed with"),
        ({"close": ""}, "it lacks close of Drafter"),
    ],
)
def test_drafter_that_fails_is_switched_off_with_one_line(
    fault: dict[str, str],
    told: str,
    folder: Path,
    install_plugin: Install,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = write(folder, speculation="off")
    install_plugin("one", {"drafters.v1": {"mine": "Mine"}}, DRAFTER.format(**{**GOOD, **fault}))
    with caplog.at_level(logging.WARNING, "nanoaccel"):
        assert write(folder) == plain
    (line,) = [r.getMessage() for r in caplog.records if "'mine'" in r.getMessage()]
    assert told in line
    assert "switched off" in line


def test_drafter_that_is_named_and_fails_is_an_error_of_one_line(
    folder: Path, install_plugin: Install
) -> None:
    source = DRAFTER.format(**{**GOOD, "init": "raise OSError('none')"})
    install_plugin("one", {"drafters.v1": {"mine": "Mine"}}, source)
    with pytest.raises(PluginError, match="drafter 'mine' failed with OSError: none"):
        LLM(folder, speculation="mine")


@pytest.mark.parametrize("fault", ["raise KeyError(uses)", "return float('nan')", "return None"])
def test_eviction_policy_that_fails_gives_way_to_least_recently_used(
    fault: str, folder: Path, install_plugin: Install, caplog: pytest.LogCaptureFixture
) -> None:
    plain = write(folder)
    source = f"""
class Mine:
    calls = 0
    def priority(self, uses, depth):
        self.calls += 1
        if self.calls > 2: {fault}
        return 1.0
    def evicted(self, priority): pass
"""
    install_plugin("one", {"eviction_policies.v1": {"mine": "Mine"}}, source)
    with caplog.at_level(logging.WARNING, "nanoaccel"):
        assert write(folder, eviction_policy="mine") == plain
    (line,) = [r.getMessage() for r in caplog.records]
    assert line.startswith("eviction policy 'mine' failed with")


def test_eviction_policy_whose_module_breaks_is_an_error_of_one_line(
    folder: Path, install_plugin: Install
) -> None:
    install_plugin("one", {"eviction_policies.v1": {"mine": "Mine"}}, "raise OSError('no')")
    with pytest.raises(PluginError, match=r"of one 1\.0 cannot be used: OSError: no"):
        LLM(folder, eviction_policy="mine")


PROCESSOR = """
class Mine:
    def __init__(self, options):
        self.token = options.values.get("token")
        self.after = options.values.get("fails_after")
        if not isinstance(self.token, int): raise ValueError("token is no number")
        self.seen = 0
    def apply(self, row, position):
        if self.after is not None and self.seen >= self.after: raise OSError("gone")
        row[:] = float("-inf")
        row[self.token] = 0 if self.token >= 0 else float("-inf")
    def accept(self, token_id): self.seen += 1
    def copy(self): return self
"""


def with_processor(**values: object) -> SamplingParams:
    return SamplingParams(max_tokens=5, ignore_eos=True, processors={"mine": values})


def test_logits_processor_chooses_for_its_request_alone(
    folder: Path, install_plugin: Install
) -> None:
    install_plugin("one", {"logits_processors.v1": {"mine": "Mine"}}, PROCESSOR)
    plain = write(folder)[0]
    letter = LETTERS.index("q")
    with LLM(folder) as llm:
        mine, other = llm.generate(["tide", "tide"], [with_processor(token=letter), TEN])
    assert mine.text == "qqqqq"
    assert other.token_ids == plain


def test_logits_processor_that_fails_ends_its_request_alone(
    folder: Path, install_plugin: Install
) -> None:
    install_plugin("one", {"logits_processors.v1": {"mine": "Mine"}}, PROCESSOR)
    plain = write(folder)[0]
    bad = [with_processor(token=3, fails_after=2), with_processor(token=-1)]
    with LLM(folder) as llm:
        failed, forbids, other = llm.generate(["tide"] * 3, [*bad, TEN])
        again = llm.generate("tide", with_processor(token=3))
    assert (failed.finish_reason, len(failed.token_ids)) == ("error", 2)
    assert "logits processor 'mine' failed with OSError: gone" in str(failed.completions[0])
    assert forbids.finish_reason == "error"
    assert "logits processor 'mine' forbids every token" in str(forbids.completions[0])
    assert other.token_ids == plain
    assert again.finish_reason == "length"


def test_logits_processor_refuses_values_and_unknown_names_are_refused(
    folder: Path, install_plugin: Install
) -> None:
    install_plugin("one", {"logits_processors.v1": {"mine": "Mine"}}, PROCESSOR)
    with LLM(folder) as llm:
        with pytest.raises(SamplingError, match=r"processors\['mine'\]: token is no number"):
            llm.generate("tide", with_processor(token="q"))
        with pytest.raises(ConfigError, match="there is no logits processor 'mein'"):
            llm.generate("tide", SamplingParams(processors={"mein": {}}))
    with pytest.raises(SamplingError, match="is not a dict of dicts"):
        SamplingParams(processors={"mine": 3})  # type: ignore[dict-item]


def test_listeners_of_plugins_hear_beside_the_users_and_may_fail(
    folder: Path, install_plugin: Install, caplog: pytest.LogCaptureFixture
) -> None:
    source = """
heard = []
def good(): return lambda event: heard.append(event.kind)
def bad(): return lambda event: 1 / 0
def wrong(): return 7
"""
    points = {"good": "good", "bad": "bad", "wrong": "wrong"}
    install_plugin("ears", {"event_listeners.v1": points}, source)
    mine: list[str] = []
    with (
        caplog.at_level(logging.WARNING, "nanoaccel"),
        LLM(folder, on_event=lambda event: mine.append(event.kind)) as llm,
    ):
        llm.generate("tide", SamplingParams(max_tokens=2, ignore_eos=True))
        assert llm.counters().callback_errors == 0
    import ears  # type: ignore[import-not-found]

    assert mine == ears.heard == ["started", "token", "finished"]
    lines = sorted(record.getMessage() for record in caplog.records)
    assert [line.partition(" failed")[0] for line in lines] == [
        "event listener 'bad'",
        "event listener 'wrong'",
    ]


@pytest.mark.parametrize(
    ("gives", "error", "told"),
    [
        ("1 / 0", PluginError, "grammar 'mine' failed with ZeroDivisionError"),
        ("'a'", PluginError, "grammar 'mine' failed with TypeError: it gave 'a', no Translation"),
        ("Translation('bnf', 'a')", PluginError, "no Translation"),
        ("Translation('regex', 5)", PluginError, "no Translation"),
        ("int('x')", SamplingError, "the Mine cannot be used: invalid literal"),
        ("self.translate(source)", SamplingError, "the Mine cannot be used: it is nested too"),
    ],
)
def test_kind_of_grammar_that_fails_is_named(
    gives: str, error: type[Exception], told: str, install_plugin: Install
) -> None:
    source = f"""
from nanoaccel.runtime.sampling.grammar import Translation
class Mine:
    title = "Mine"
    def translate(self, source): return {gives}
"""
    install_plugin("one", {"grammars.v1": {"mine": "Mine"}}, source)
    with pytest.raises(error, match=told):
        Grammar.of("mine", "x")
