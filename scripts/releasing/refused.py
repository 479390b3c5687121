"""Why there is no release."""

from __future__ import annotations


class RefusedError(Exception):
    """Told on one line, with the remedy."""
