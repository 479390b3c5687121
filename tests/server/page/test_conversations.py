"""Conversations in a real browser: branches, what is kept, found, and carried elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.disk_tiers import wait_until
from support.page_actions import USAGE, ask, ask_and_wait, finished, last, see, texts
from support.scripted_server import ScriptedServer, Wait


def answer_twice(page: Any, server: ScriptedServer) -> None:
    """Let a question have a first answer and, in its place, a second one."""
    server.say("First.")
    server.say("Second.")
    ask_and_wait(page, "Hello")
    last(page).get_by_role("button", name="Regenerate").click()
    see(page, "Second.")
    finished(page)


def test_regenerate_adds_a_branch(page: Any, server: ScriptedServer) -> None:
    answer_twice(page, server)
    assert server.asked[0]["messages"] == server.asked[1]["messages"]
    see(page, "2 / 2")
    last(page).get_by_label("Previous branch").click()
    assert texts(page) == ["Hello", "First."]


def test_edit_keeps_the_old_branch_whole(page: Any, server: ScriptedServer) -> None:
    for text in ("Answer A.", "Answer B.", "Answer C."):
        server.say(text)
    ask_and_wait(page, "One")
    ask_and_wait(page, "Two")
    first = page.locator(".message.user").first
    first.get_by_role("button", name="Edit").click()
    page.get_by_label("Edited message").fill("Other")
    first.get_by_role("button", name="Send").click()
    see(page, "Answer C.")
    finished(page)
    assert texts(page) == ["Other", "Answer C."]
    assert server.asked[2]["messages"] == [{"role": "user", "content": "Other"}]
    page.get_by_label("Previous branch").click()
    assert texts(page) == ["One", "Answer A.", "Two", "Answer B."]


def test_reload_keeps_the_conversation_and_its_branch(page: Any, server: ScriptedServer) -> None:
    answer_twice(page, server)
    page.get_by_label("Previous branch").click()
    page.reload()
    see(page, "First.")
    assert texts(page) == ["Hello", "First."]
    ask_and_wait(page, "More")
    contents = [message["content"] for message in server.asked[-1]["messages"]]
    assert contents == ["Hello", "First.", "More"]


def test_reload_in_mid_stream_keeps_what_had_come(page: Any, server: ScriptedServer) -> None:
    server.say("Half", Wait(), " more", Wait())
    ask(page, "Hello")
    see(page, "Half")
    page.wait_for_timeout(1100)  # it is saved each second
    server.go_on()
    page.get_by_text("Half more").wait_for()
    page.wait_for_timeout(300)
    page.reload()
    see(page, "Not finished")
    assert texts(page)[1] == "Half more"


def test_conversations_are_found_renamed_and_deleted(page: Any) -> None:
    ask_and_wait(page, "About rivers")
    page.get_by_role("link", name="New chat").click()
    page.get_by_text("About rivers").first.wait_for()
    ask_and_wait(page, "About mountains")
    entries = page.locator("#conversations li")
    assert entries.count() == 2
    page.get_by_label("Search the conversations").fill("RIVERS")
    entries.filter(has_text="mountains").wait_for(state="detached")
    assert entries.count() == 1
    page.get_by_label("Actions for About rivers").click()
    page.get_by_role("button", name="Rename About rivers").click()
    page.get_by_label("Title").fill("Streams")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    page.get_by_role("link", name="Streams").wait_for()  # the text still has the word
    page.get_by_label("Actions for Streams").click()
    page.get_by_role("button", name="Delete Streams").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("Nothing found").wait_for()
    page.get_by_label("Search the conversations").fill("")
    page.get_by_role("link", name="About mountains").wait_for()
    assert entries.count() == 1


def test_new_title_stays_when_the_conversation_goes_on(page: Any) -> None:
    ask_and_wait(page, "Hello")
    page.get_by_label("Actions for Hello").click()
    page.get_by_role("button", name="Rename Hello").click()
    page.get_by_label("Title").fill("Greetings")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    page.get_by_role("link", name="Greetings").wait_for()
    ask_and_wait(page, "More")
    page.reload()
    page.get_by_role("link", name="Greetings").wait_for()


def test_conversation_that_is_deleted_while_it_is_answered_stays_away(
    page: Any, server: ScriptedServer
) -> None:
    server.say("Half", Wait())
    ask(page, "Hello")
    see(page, "Half")
    page.get_by_label("Actions for Hello").click()
    page.get_by_role("button", name="Delete Hello").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("Nothing yet").wait_for()
    wait_until(lambda: server.cancelled == 1, "a stream that the client left")
    page.reload()
    page.get_by_text("Nothing yet").wait_for()


def test_tabs_show_what_another_one_writes(page: Any, context: Any, server: ScriptedServer) -> None:
    ask_and_wait(page, "Hello")
    other = context.new_page()
    other.goto(page.url)
    other.get_by_text("An answer.").wait_for()
    server.say("More of it.")
    ask_and_wait(page, "More")
    see(other, "More of it.")
    ask_and_wait(other, "And from here")
    see(page, "And from here")
    assert [message["content"] for message in server.asked[2]["messages"]][1::2] == [
        "An answer.",
        "More of it.",
    ]
    page.get_by_label("Actions for Hello").click()
    page.get_by_role("button", name="Delete Hello").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    other.get_by_text("Nothing yet").wait_for()
    other.locator(".message").first.wait_for(state="detached")


def test_export_and_import_keep_every_branch(
    page: Any, browser: Any, server: ScriptedServer, tmp_path: Path
) -> None:
    server.say({"reasoning_content": "Let me see."}, "First.", {"usage": USAGE})
    server.say("Second.")
    ask_and_wait(page, "Hello")
    last(page).get_by_role("button", name="Regenerate").click()
    see(page, "Second.")
    finished(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export all").click()
    saved = tmp_path / "conversations.json"
    download.value.save_as(saved)

    other = browser.new_context().new_page()
    other.goto(server.url)
    other.locator("#import-file").set_input_files(saved)
    see(other, "One conversation was imported.")
    other.get_by_role("link", name="Hello").click()
    see(other, "Second.")
    other.get_by_label("Previous branch").click()
    assert texts(other) == ["Hello", "First."]
    last(other).get_by_text("Reasoning").click()
    see(other, "Let me see.")
    with other.expect_download() as again:
        other.get_by_role("button", name="Export all").click()
    first, second = (json.loads(Path(path).read_text()) for path in (saved, again.value.path()))
    first["conversations"][0]["leaf"] = second["conversations"][0]["leaf"]  # another is shown
    assert first == second
    other.context.close()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "no JSON"),
        ("{}", "does not hold exported conversations"),
        ('{"format": "nanoaccel-conversations", "version": 9, "conversations": []}', "Version 9"),
        (
            '{"format": "nanoaccel-conversations", "version": 1, "conversations": [null]}',
            "damaged",
        ),
        (
            json.dumps(
                {
                    "format": "nanoaccel-conversations",
                    "version": 1,
                    "conversations": [
                        {
                            "id": "a",
                            "title": "x",
                            "created": 1,
                            "updated": 1,
                            "leaf": "b",
                            "messages": [
                                {"id": "b", "parent": "b", "role": "user", "content": "circle"}
                            ],
                        }
                    ],
                }
            ),
            "parent",
        ),
    ],
)
def test_import_refuses_what_is_not_whole(page: Any, text: str, reason: str) -> None:
    file = {"name": "x.json", "mimeType": "application/json", "buffer": text.encode()}
    page.locator("#import-file").set_input_files(file)
    see(page, "Nothing was imported.")
    see(page, reason)
    assert page.locator("#conversations a").count() == 0


def test_answer_goes_on_while_another_conversation_is_open(
    page: Any, server: ScriptedServer
) -> None:
    server.say("Half", Wait(), " and whole.")
    ask(page, "Slow")
    see(page, "Half")
    page.get_by_role("link", name="New chat").click()
    ask_and_wait(page, "Quick")
    assert texts(page) == ["Quick", "An answer."]
    server.go_on()
    page.get_by_role("link", name="Slow").click()
    see(page, "Half and whole.")
    finished(page)
    assert texts(page) == ["Slow", "Half and whole."]
