"""The engine view over a page of Prometheus' text."""

from __future__ import annotations

from typing import Any

import pytest
from support.scripted_server import ScriptedServer


@pytest.fixture
def engine(page: Any) -> Any:
    """The page with the engine view open."""
    page.get_by_role("link", name="Engine").click()
    page.locator(".card").first.wait_for()
    return page


def card(page: Any, name: str) -> str:
    shown = page.locator(".card").filter(has=page.get_by_text(name, exact=True))
    text: str = shown.locator("dd").inner_text()
    return text.strip()


def test_cards_show_what_the_metrics_say(engine: Any) -> None:
    assert card(engine, "Running") == "3"
    assert card(engine, "Cache held") == "25 %"
    assert card(engine, "Prompt tokens found in the cache") == "75 %"
    assert card(engine, "Tokens a step with drafts") == "2.5"
    assert engine.get_by_text("Waiting", exact=True).count() == 0  # the server does not say it


def test_rates_come_with_the_second_reading(engine: Any) -> None:
    engine.get_by_text("Tokens written a second").wait_for()
    rate = float(card(engine, "Tokens written a second"))
    assert 60 < rate < 160
    engine.locator(".card polyline").first.wait_for(state="attached")


def test_histogram_has_quantiles_and_bars(engine: Any) -> None:
    figure = engine.locator("figure")
    assert figure.count() == 1
    text = figure.inner_text()
    assert "Time to the first token" in text
    # Prometheus: 0.1 + 0.1 * (5 - 1) / 8; the 99th lies in the last bucket, which has no end.
    assert "median 150 ms" in text
    assert "99 % 200 ms" in text
    assert "mean 150 ms" in text
    assert "n = 10" in text
    bars = figure.locator("rect")
    assert bars.count() == 3
    heights = [float(bars.nth(at).get_attribute("height")) for at in range(3)]
    assert heights[1] == max(heights)
    assert figure.get_by_role("img").get_attribute("aria-label") is not None


def test_all_figures_show_labels(engine: Any) -> None:
    engine.get_by_text("All figures").click()
    assert engine.get_by_text('model_name=say "tiny"').is_visible()


def test_metrics_are_read_only_while_they_are_seen(engine: Any) -> None:
    urls: list[str] = []
    engine.on("request", lambda request: urls.append(request.url))
    engine.get_by_role("link", name="Chat", exact=True).click()
    engine.locator("#engine").wait_for(state="hidden")
    urls.clear()
    engine.wait_for_timeout(1300)
    assert urls == []


def test_lost_server_is_told_and_found_again(engine: Any, context: Any) -> None:
    context.set_offline(True)
    engine.get_by_text("The server cannot be reached.").wait_for()
    context.set_offline(False)
    engine.get_by_text("The server cannot be reached.").wait_for(state="detached")


def test_metrics_ask_for_the_key(context: Any, server: ScriptedServer) -> None:
    server.key = "secret"
    page = context.new_page()
    page.goto(f"{server.url}/#/engine")
    page.get_by_role("dialog").get_by_label("API key").last.fill("secret")
    page.get_by_role("button", name="Use key").click()
    page.locator(".card").first.wait_for()
    assert page.get_by_role("dialog").count() == 0
    assert page.locator("#notice").inner_text() == ""


def test_machine_and_models_are_shown(engine: Any) -> None:
    machine = engine.locator("#machine")
    machine.get_by_role("heading", name="tiny").wait_for()
    rows = machine.locator("tr").all_inner_texts()
    assert "CPU\tA CPU <b>of</b> tests" in rows
    assert "Cores\t4 in 1 socket, 8 CPUs" in rows
    assert "Allowed\t6 CPUs, time of 2.5" in rows
    assert "Instructions\tavx2 amx" in rows
    assert "Memory\t3 GB free" in rows
    assert "Recipe\tweights int4" in rows
    assert "Backend\topenvino: CPU" in rows
