"""What a user does on the page, and what there is to see."""

from __future__ import annotations

from typing import Any

# What an answer's last chunk says.
USAGE = {
    "prompt_tokens": 40,
    "completion_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 30},
    "acceptance": 0.75,
}


def ask(page: Any, text: str) -> None:
    """Send a message."""
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send", exact=True).click()


def finished(page: Any) -> None:
    """Wait until nothing is being written."""
    page.locator("#messages[aria-busy=false]").wait_for()


def ask_and_wait(page: Any, text: str) -> None:
    """Send a message and wait for its answer."""
    ask(page, text)
    page.locator("#messages[aria-busy=true], .message.assistant").first.wait_for()
    finished(page)


def texts(page: Any) -> list[str]:
    """The texts of the messages that are shown."""
    shown: list[str] = page.locator(".message > .text").all_inner_texts()
    return [text.strip() for text in shown]


def last(page: Any) -> Any:
    """The last message."""
    return page.locator(".message").last


def see(page: Any, text: str) -> None:
    """Wait until a text is there."""
    page.get_by_text(text).first.wait_for()
