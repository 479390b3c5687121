"""Takes the picture of the server's page that docs/how-to/page.md shows: docs/images/page.png.

    python scripts/page_picture.py

It needs Chromium, and shows what a scripted server says.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "page.png"
sys.path.insert(0, str(ROOT / "tests"))

from support.page_actions import ask_and_wait, last  # noqa: E402
from support.scripted_server import Pause, ScriptedServer  # noqa: E402

ANSWER = """\
A block cache keeps the keys and values of tokens in **blocks** of a fixed size.

| step | what happens |
| --- | --- |
| admit | blocks of a known prefix are found by their hash |
| decode | a new block is taken when the last one is full |

```python
def blocks_of(tokens: int, size: int = 32) -> int:
    return -(-tokens // size)
```
"""
USAGE = {
    "prompt_tokens": 412,
    "completion_tokens": 121,
    "prompt_tokens_details": {"cached_tokens": 384},
}


def main() -> None:
    """Take it."""
    server = ScriptedServer()
    server.models = ["tiny"]
    server.start()
    words = [part for word in ANSWER.split(" ") for part in (f"{word} ", Pause(0.05))]
    server.say("Hello!")
    server.say(
        {"reasoning_content": "They know caches."},
        *words,
        {"usage": USAGE, "timings": {"steps": 55}},
    )
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1060, "height": 780})
            page.goto(server.url)
            page.locator("#model option").first.wait_for(state="attached")
            ask_and_wait(page, "Say hello")
            page.get_by_role("link", name="New chat").click()
            page.locator(".message").first.wait_for(state="detached")
            ask_and_wait(page, "How does a block cache work?")
            last(page).locator(".figures summary").wait_for()
            page.screenshot(path=PICTURE)
            browser.close()
    finally:
        server.stop()
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
