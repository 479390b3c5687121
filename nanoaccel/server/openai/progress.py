"""Progress before the first token, as events of a stream tell it."""

from __future__ import annotations

from typing import Any

from nanoaccel.runtime.types.outputs import Progress


def told(progress: Progress) -> dict[str, Any]:
    """The place in the queue, or what is computed of the prompt, as llama.cpp's server tells it."""
    if progress.place > 0:
        return {"queue": {"place": progress.place, "waiting": progress.waiting}}
    return {
        "prompt_progress": {
            "total": progress.total,
            "cache": progress.cached,
            "processed": progress.processed,
            "time_ms": round(1000 * progress.seconds, 1),
        }
    }
