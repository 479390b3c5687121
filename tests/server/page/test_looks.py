"""Colours, sizes, keyboard, and what a screen reader finds."""

from __future__ import annotations

from typing import Any

import pytest
from support.page_actions import ask, ask_and_wait
from support.scripted_server import ScriptedServer, Wait

GROUND = "getComputedStyle(document.body).backgroundColor"
WIDE = "document.documentElement.scrollWidth <= innerWidth"
LONG = "word " * 40 + "x" * 300 + "\n\n" + "| column " * 20 + "|\n" + "|---" * 20 + "|\n"
UNNAMED = """() => [...document.querySelectorAll("button, input, select, textarea, a, summary")]
    .filter((one) => one.checkVisibility() && !one.textContent.trim() && !one.labels?.length
        && !one.getAttribute("aria-label"))
    .map((one) => one.outerHTML)"""
CONTRAST = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const luminance = (color) => {
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        const parts = [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)].map((part) => {
            const share = part / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const groundOf = (one) => {
        for (; one; one = one.parentElement) {
            const color = getComputedStyle(one).backgroundColor;
            if (!color.endsWith(", 0)")) return color;
        }
    };
    return [...document.querySelectorAll("body *")]
        .filter((one) => one.checkVisibility() && !one.disabled
            && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
        .map((one) => {
            const [a, b] = [luminance(getComputedStyle(one).color), luminance(groundOf(one))];
            return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.outerHTML.slice(0, 80)];
        })
        .filter(([ratio]) => ratio < 4.5);
}"""


def test_colours_follow_the_system_and_the_switch(page: Any) -> None:
    page.emulate_media(color_scheme="light")
    light = page.evaluate(GROUND)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(GROUND)
    assert light != dark
    switch = page.get_by_role("button", name="Theme")
    switch.click()
    assert switch.get_attribute("aria-label") == "Theme: light"
    assert page.evaluate(GROUND) == light
    switch.click()
    assert page.evaluate(GROUND) == dark
    page.emulate_media(color_scheme="light")
    page.reload()
    assert page.evaluate(GROUND) == dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read(page: Any, server: ScriptedServer, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    server.say("**Bold** `code` [a](https://x.org)\n\n> quote\n\n```sh\ncode\n```\n" + LONG)
    ask_and_wait(page, "Hello")
    server.refuse(400, "No.")
    ask_and_wait(page, "Hello")
    page.get_by_role("button", name="Settings").click()
    assert page.evaluate(CONTRAST) == []
    page.get_by_role("link", name="Engine").click()
    page.locator("figure").first.wait_for()
    assert page.evaluate(CONTRAST) == []


def test_one_view_is_marked_as_the_current_one(page: Any) -> None:
    marked = page.locator("#top nav [aria-current=page]")
    drawn = """getComputedStyle(document.querySelector("#top nav a:not([aria-current=page])"))
        .borderBottomColor"""
    assert marked.all_inner_texts() == ["Chat"]
    assert page.evaluate(drawn) == "rgba(0, 0, 0, 0)"
    page.get_by_role("link", name="Engine").click()
    page.locator(".card").first.wait_for()
    assert marked.all_inner_texts() == ["Engine"]
    assert page.evaluate(drawn) == "rgba(0, 0, 0, 0)"


def test_phone_has_one_column(page: Any, server: ScriptedServer) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    server.say(LONG)
    ask_and_wait(page, "y" * 200)
    assert page.evaluate(WIDE)
    side = page.locator("#sidebar")
    assert not side.is_visible()
    menu = page.get_by_role("button", name="Conversations")
    menu.click()
    assert menu.get_attribute("aria-expanded") == "true"
    page.get_by_role("link", name="New chat").click()
    side.wait_for(state="hidden")
    page.locator(".message").first.wait_for(state="detached")
    page.get_by_role("button", name="Settings").click()
    assert page.get_by_label("Temperature").is_visible()
    assert page.evaluate(WIDE)
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("link", name="Engine").click()
    page.locator(".card").first.wait_for()
    assert page.evaluate(WIDE)


def test_everything_that_can_be_used_has_a_name(page: Any, server: ScriptedServer) -> None:
    server.say({"reasoning_content": "Hm."}, "```sh\na\n```\n\n- [ ] task")
    ask_and_wait(page, "Hello")
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Edit").click()
    assert page.evaluate(UNNAMED) == []


def test_answer_is_a_live_region_that_waits_for_its_end(page: Any, server: ScriptedServer) -> None:
    log = page.get_by_role("log")
    assert log.get_attribute("aria-live") == "polite"
    server.say("Half", Wait(), " whole.")
    ask(page, "Hello")
    page.get_by_text("Half").wait_for()
    assert log.get_attribute("aria-busy") == "true"
    server.go_on()
    page.locator("#announcer", has_text="The answer is complete.").wait_for(state="attached")
    assert log.get_attribute("aria-busy") == "false"


def test_focus_goes_from_the_top_to_the_message_box(page: Any, server: ScriptedServer) -> None:
    focused = "document.activeElement.id || document.activeElement.textContent"
    assert page.evaluate(focused) == "composer-text"
    page.locator("a").first.focus()
    assert page.evaluate(focused) == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == "composer-text"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "send"
    server.say("Half", Wait())
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("Hello")
    page.keyboard.press("Enter")
    page.get_by_text("Half").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("Stopped.").wait_for()
    assert page.evaluate(focused) == "composer-text"


def test_dialog_ends_with_escape_and_changes_nothing(page: Any) -> None:
    ask_and_wait(page, "Hello")
    page.get_by_label("Actions for Hello").click()
    page.get_by_role("button", name="Delete Hello").click()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.get_by_role("link", name="Hello").is_visible()


def test_reader_who_scrolled_up_stays_there(page: Any, server: ScriptedServer) -> None:
    server.say("line\n\n" * 80, Wait(), "line\n\n" * 80)
    ask(page, "Hello")
    page.get_by_text("line").nth(79).wait_for(state="attached")
    place = "document.getElementById('messages').scrollTop"
    page.wait_for_function(f"{place} > 500")
    page.evaluate(f"{place} = 100")
    server.go_on()
    page.locator("#messages[aria-busy=false]").wait_for()
    assert page.evaluate(place) == 100
