"""Chat templates: what they may use, and what becomes of their errors."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from nanoaccel.errors import BundleError, RequestError
from nanoaccel.text import ChatTemplate, template_time

HELLO = [{"role": "user", "content": "Hello"}]


def _render(source: str, **special_tokens: str) -> str:
    return ChatTemplate(source, special_tokens).render(HELLO)


def test_render_passes_messages_and_special_tokens() -> None:
    template = ChatTemplate(
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}",
        {"bos_token": "<s>"},
    )
    assert template.render(HELLO) == "<s>[user] Hello[assistant]"
    assert template.render(HELLO, add_generation_prompt=False) == "<s>[user] Hello"


def test_render_strips_block_lines() -> None:
    assert _render("  {% if true %}\nyes\n  {% endif %}\n") == "yes\n"


def test_render_leaves_unnamed_special_tokens_undefined() -> None:
    assert _render("{{ bos_token is defined }} {{ tools is none }} {{ documents is none }}") == (
        "False True True"
    )


def test_render_offers_loop_controls() -> None:
    assert (
        _render("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}")
        == "01"
    )


def test_render_passes_generation_blocks_through() -> None:
    source = (
        "{% set x = 'outer' %}{% for m in messages %}"
        "{% generation %}{% set x = 'inner' %}{{ m.content }}\n{% endgeneration %}{{ x }}"
        "{% endfor %}"
    )
    assert _render(source) == "Hello\nouter"


def test_render_tojson_keeps_text_readable() -> None:
    assert _render("{{ {'b': '<é>', 'a': 1} | tojson }}") == '{"b": "<é>", "a": 1}'
    assert _render("{{ {'b': 2, 'a': 1} | tojson(indent=1, sort_keys=true) }}") == (
        '{\n "a": 1,\n "b": 2\n}'
    )


def test_render_offers_the_date() -> None:
    assert _render("{{ strftime_now('%Y') }}") in {
        str(datetime.now().year),
        str(datetime.now().year - 1),
    }


def test_render_gives_the_template_its_further_keys() -> None:
    messages = [{"role": "user", "content": "", "name": "Ann"}]
    assert ChatTemplate("{{ messages[0].name }}", {}).render(messages) == "Ann"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ raise_exception('only\n  users!') }}", "only users!"),
        ("{{ missing.attribute }}", "'missing' is undefined"),
        ("{{ messages.append(1) }}", "access to attribute 'append'"),
        ("{{ ''.__class__.__mro__ }}", "access to attribute '__class__'"),
        ("{{ 1 + messages[0].content }}", "TypeError: "),
        ("{{ 1 / 0 }}", "ZeroDivisionError: "),
        ("{{ range(10**9) }}", "OverflowError: "),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError: "),
    ],
)
def test_render_turns_errors_into_one_line(source: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        _render(source)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["{% if %}", "{{ x | nosuchfilter }}", "{% for %}", "{{ (((("])
def test_render_refuses_a_template_that_cannot_be_parsed(source: str) -> None:
    template = ChatTemplate(source, {}, origin="chat_template.jinja")
    with pytest.raises(BundleError, match=r"^chat_template\.jinja cannot be parsed \(line 1: "):
        template.render(HELLO)


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([], "messages is not a list"),
        (None, "messages is not a list"),
        ({"role": "user", "content": "Hello"}, "messages is not a list"),
        ("Hello", r"messages\[0\] is a str"),
        ([["user", "Hello"]], r"messages\[0\] is a list"),
        ([*HELLO, {"content": "Hello"}], r"messages\[1\]\['role'\] is None"),
        ([{"role": "user"}], r"messages\[0\]\['content'\] is None"),
        ([{"role": "user", "content": [7]}], r"\['content'\]\[0\] is 7"),
        ([{"role": "user", "content": 7}], r"\['content'\] is 7"),
        ([{"role": "user", "content": None, "tool_calls": [1]}], r"\['content'\] is None"),
        ([{"role": "assistant", "content": None, "tool_calls": []}], r"'content'\] is None"),
        ([{"role": 7, "content": ""}], r"messages\[0\]\['role'\] is 7"),
    ],
)
def test_render_refuses_malformed_messages(messages: object, problem: str) -> None:
    with pytest.raises(RequestError, match=problem):
        ChatTemplate("", {}).render(messages)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(9999) %}{% for b in range(99999) if a < 0 %}{% endfor %}{% endfor %}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{{ loop.last }}{% endfor %}"
        "{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) ~ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    ],
)
def test_template_that_runs_too_long_is_ended(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_time, "MOST_SECONDS", 0.2)
    begun = time.monotonic()
    with pytest.raises(RequestError, match=r"the chat template takes more than .* seconds"):
        _render(source)
    assert time.monotonic() - begun < 5


def test_loops_know_their_length_and_their_neighbours() -> None:
    source = (
        "{% for a in [1, 2, 3] if a > 1 %}{{ loop.index }}/{{ loop.length }}{{ loop.last }} "
        "{% else %}none{% endfor %}{% for a in missing %}{% else %}none{% endfor %}"
        "{% for a in [[1], [2]] recursive %}{{ loop(a) if a is iterable else a }}{% endfor %}"
    )
    assert _render(source) == "1/2False 2/2True none12"
