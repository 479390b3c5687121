"""Messages that the page of symptoms quotes are in the code."""

from __future__ import annotations

import re

from support.pages import ROOT, text_of

PAGE = ROOT / "docs" / "how-to" / "troubleshooting.md"
# What others say, and what is typed.
NOT_OURS = {"No module named pip", "openvino_genai"}
_JOINED = re.compile(r'"\s*(?:#[^\n]*\n\s*)?[fr]?"')


def quoted() -> list[str]:
    """What the first cells of tables quote, without what stands for a value."""
    rows = [line.split("|")[1] for line in text_of(PAGE).splitlines() if line.startswith("| ")]
    found = [quote for row in rows for quote in re.findall(r"`([^`]+)`", row)]
    return [part.strip() for quote in found for part in quote.split("...") if part.strip()]


def said() -> str:
    """The strings of the code as they are printed: pieces over several lines joined."""
    files = sorted((ROOT / "nanoaccel").rglob("*.py"))
    return _JOINED.sub("", "\n".join(file.read_text(encoding="utf-8") for file in files))


def test_quoted_messages_are_in_the_code() -> None:
    code = said()
    assert len(quoted()) > 30
    assert [quote for quote in quoted() if quote not in code and quote not in NOT_OURS] == []


def test_every_status_of_the_server_is_explained() -> None:
    code = "\n".join(
        file.read_text(encoding="utf-8") for file in (ROOT / "nanoaccel" / "server").rglob("*.py")
    )
    kinds = set(re.findall(r"ApiError\(\s*([45]\d\d),", code))
    # These say by themselves what to send otherwise.
    assert kinds - {"413", "415", "431"} <= set(re.findall(r"\b([45]\d\d)\b", text_of(PAGE)))
