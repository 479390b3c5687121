"""Chatting in a real browser: streams, settings, what an answer carries, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.disk_tiers import wait_until
from support.page_actions import USAGE, ask, ask_and_wait, finished, last, see, texts
from support.scripted_server import Comment, Cut, Pause, ScriptedServer, Wait


def test_answer_streams_before_it_is_complete(page: Any, server: ScriptedServer) -> None:
    server.say("Half", Wait(), " and whole.")
    see(page, "Ask the model something.")
    ask(page, "Hello")
    see(page, "Half")
    assert page.locator("#welcome").is_hidden()
    assert page.locator("#messages").get_attribute("aria-busy") == "true"
    server.go_on()
    finished(page)
    assert texts(page) == ["Hello", "Half and whole."]
    (body,) = server.asked
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert body["return_progress"] is True
    assert body["model"] == "tiny"
    assert body["messages"] == [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("by", ["button", "Escape"])
def test_stop_ends_the_stream_at_the_server(page: Any, server: ScriptedServer, by: str) -> None:
    server.say("Half", Wait(), " and whole.")
    ask(page, "Hello")
    see(page, "Half")
    if by == "button":
        page.get_by_role("button", name="Stop").click()
    else:
        page.keyboard.press(by)
    finished(page)
    see(page, "Stopped.")
    assert texts(page)[1] == "Half"
    wait_until(lambda: server.cancelled == 1, "a stream that the client left")


def test_enter_sends_and_shift_enter_breaks_the_line(page: Any, server: ScriptedServer) -> None:
    box = page.get_by_label("Message", exact=True)
    box.press_sequentially("one")
    box.press("Shift+Enter")
    box.press_sequentially("two")
    box.press("Enter")
    see(page, "An answer.")
    assert server.asked[0]["messages"][0]["content"] == "one\ntwo"
    assert box.input_value() == ""


def test_settings_reach_the_request_and_stay(page: Any, server: ScriptedServer) -> None:
    page.get_by_role("button", name="Settings").click()
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    for name, text in {
        "System prompt": "Be brief.",
        "Temperature": "0",
        "Top p": "0.5",
        "Max tokens": "7",
        "Seed": "3",
        "JSON schema of the answer": json.dumps(schema),
    }.items():
        page.get_by_label(name).fill(text)
    page.get_by_label("Model", exact=True).select_option("other")
    ask_and_wait(page, "Hello")
    (body,) = server.asked
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    sent = {name: body[name] for name in ("temperature", "top_p", "max_tokens", "seed", "model")}
    assert sent == {"temperature": 0, "top_p": 0.5, "max_tokens": 7, "seed": 3, "model": "other"}
    assert body["response_format"]["json_schema"]["schema"] == schema
    page.reload()
    page.locator("#model option").first.wait_for(state="attached")
    assert page.get_by_label("Seed").input_value() == "3"
    assert page.get_by_label("Model", exact=True).input_value() == "other"


def test_schema_that_is_no_json_is_told_and_not_sent(page: Any, server: ScriptedServer) -> None:
    page.get_by_role("button", name="Settings").click()
    box = page.get_by_label("JSON schema of the answer")
    box.fill("{oops")
    assert box.get_attribute("aria-invalid") == "true"
    ask_and_wait(page, "Hello")
    see(page, "schema is not valid JSON")
    assert server.asked == []


@pytest.mark.parametrize(
    "parts",
    [
        ({"reasoning_content": "Let me "}, {"reasoning_content": "see."}, "Blue."),
        ("<thi", "nk>Let me see.</th", "ink>\n\nBlue."),
        ("Let me see.\n</think>\nBlue.",),
    ],
)
def test_reasoning_is_apart_and_is_not_sent_back(
    page: Any, server: ScriptedServer, parts: tuple[Any, ...]
) -> None:
    server.say(*parts)
    ask_and_wait(page, "Colour?")
    assert texts(page)[1] == "Blue."
    thoughts = last(page).locator(".thoughts")
    assert not thoughts.is_visible()
    last(page).get_by_text("Reasoning").click()
    assert thoughts.inner_text() == "Let me see."
    ask_and_wait(page, "Sure?")
    assert server.asked[1]["messages"][1] == {"role": "assistant", "content": "Blue."}


def test_tool_calls_are_shown_and_take_results(page: Any, server: ScriptedServer) -> None:
    called = {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": text}} for text in ('{"city"', ': "Oslo"}')]
    server.say({"tool_calls": [called]}, *({"tool_calls": [piece]} for piece in pieces))
    server.say("It snows.")
    ask_and_wait(page, "Weather?")
    see(page, "weather")
    assert json.loads(page.locator(".call pre").inner_text()) == {"city": "Oslo"}
    page.get_by_label("Result of weather").fill("snow")
    page.get_by_role("button", name="Send results").click()
    see(page, "It snows.")
    call, result = server.asked[1]["messages"][1:]
    assert call["tool_calls"][0]["function"]["arguments"] == '{"city": "Oslo"}'
    assert result == {"role": "tool", "tool_call_id": "call_1", "content": "snow"}


def test_figures_show_speed_usage_and_what_a_server_adds(page: Any, server: ScriptedServer) -> None:
    timings = {"steps": 6, "queued_seconds": 0.25, "first_token_seconds": 1, "total_seconds": 3}
    server.say("One", Pause(0.1), " two", Wait(), {"usage": USAGE, "timings": timings})
    ask(page, "Hello")
    see(page, "2 tokens")
    measured = last(page).locator(".figures").inner_text()
    assert float(measured.partition(" tokens/s")[0]) > 0
    server.go_on()
    finished(page)
    figures = last(page).locator(".figures")
    line = figures.locator("summary").inner_text()
    assert "5.5 tokens/s" in line  # by the server's clock
    assert "first token after" in line
    assert "12 tokens" in line
    assert "2 tokens a step" in line
    assert "30 of 40 prompt tokens cached" in line
    figures.locator("summary").click()
    rows = figures.locator("tr").all_inner_texts()
    assert "acceptance\t0.75" in rows
    assert "in the queue\t250 ms" in rows


def test_what_the_server_says_of_a_long_prompt_is_shown(page: Any, server: ScriptedServer) -> None:
    progress = {"prompt_progress": {"total": 2048, "cache": 0, "processed": 512}}
    queue = {"queue": {"place": 2, "waiting": 7}}
    server.say(
        Comment("ping"), Comment("loading"), Wait(), queue, Wait(), progress, Wait(), "Done."
    )
    ask(page, "Hello")
    see(page, "Waiting: loading")
    server.go_on()
    see(page, "place 2 of 7 in the queue")
    server.go_on()
    see(page, "reading the prompt: 512 of 2048 tokens")
    server.go_on()
    finished(page)
    assert texts(page)[1] == "Done."


def test_401_asks_for_the_key_and_keeps_it_in_the_tab(context: Any, server: ScriptedServer) -> None:
    server.key = "secret"
    page = context.new_page()
    page.goto(server.url)
    page.get_by_label("API key").last.fill("wrong")
    page.get_by_role("button", name="Use key").click()
    page.get_by_label("API key").last.fill("secret")
    page.get_by_role("button", name="Use key").click()
    page.locator("#model option").first.wait_for(state="attached")
    ask_and_wait(page, "Hello")
    assert texts(page)[1] == "An answer."
    assert "secret" not in page.evaluate("JSON.stringify(localStorage)")
    other = context.new_page()
    other.goto(server.url)
    other.get_by_role("dialog").wait_for()
    other.get_by_role("button", name="Cancel").click()
    see(other, "A key is needed.")


def test_429_says_when_to_try_again(page: Any, server: ScriptedServer) -> None:
    server.refuse(429, "The queue is full.", Retry_After="3")
    ask_and_wait(page, "Hello")
    see(page, "The server is busy. The queue is full.")
    assert page.get_by_role("button", name="Try again in").is_disabled()
    page.get_by_role("button", name="Try again", exact=True).click()
    see(page, "An answer.")
    finished(page)
    assert texts(page) == ["Hello", "An answer."]
    assert page.get_by_text("/ 2").count() == 0  # the failed try is no branch


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ({"error": {"message": "The engine failed."}}, "The engine failed."),
        (Cut(), "The connection was lost"),
    ],
)
def test_broken_stream_keeps_its_text_and_says_why(
    page: Any, server: ScriptedServer, end: Any, reason: str
) -> None:
    server.say("Half", end)
    ask_and_wait(page, "Hello")
    see(page, reason)
    assert texts(page)[1] == "Half"


def test_server_that_is_gone_is_told(page: Any, context: Any) -> None:
    context.set_offline(True)
    ask_and_wait(page, "Hello")
    see(page, "The server cannot be reached.")
    context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    see(page, "An answer.")


def test_page_works_below_a_prefix(context: Any, server: ScriptedServer) -> None:
    page = context.new_page()
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.goto(f"{server.url}/below/")
    page.locator("#model option").first.wait_for(state="attached")
    ask_and_wait(page, "Hello")
    assert texts(page) == ["Hello", "An answer."]
    assert [url for url in urls if not url.startswith(f"{server.url}/below/")] == []
