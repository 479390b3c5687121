"""What to say of a name that nobody knows."""

from __future__ import annotations


def did_you_mean(name: str, known: list[str]) -> str:
    """A remedy for an unknown name: the closest known one, or all."""
    import difflib

    if not known:
        return "There is none to choose from"
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Choose one of {', '.join(known)}"
