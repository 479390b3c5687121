"""The user's listener and those of plugins, called one after the other."""

from __future__ import annotations

from nanoaccel.registry import EVENT_LISTENERS
from nanoaccel.runtime.types.events import Event, EventListener


def with_plugged(on_event: EventListener | None) -> EventListener | None:
    """A listener that tells plugins too; ``on_event`` itself where there are none.

    Args:
        on_event: The user's listener.
    """
    plugged: dict[str, EventListener] = {}
    for name, factory in EVENT_LISTENERS.usable():
        with EVENT_LISTENERS.guard(name):
            listener = factory()
            if not callable(listener):
                raise TypeError(f"it made {listener!r:.80}, which cannot be called")
            plugged[name] = listener
    return Listeners(on_event, plugged) if plugged else on_event


class Listeners:
    """Calls the listeners of plugins, of which one that raises is switched off, then the user's.

    Args:
        on_event: The user's, whose errors are the caller's to handle.
        plugged: Listeners of plugins by name.
    """

    def __init__(self, on_event: EventListener | None, plugged: dict[str, EventListener]) -> None:
        self._on_event = on_event
        self._plugged = plugged

    def __call__(self, event: Event) -> None:
        """Tell all of them."""
        for name, listener in list(self._plugged.items()):
            try:
                listener(event)
            except Exception as error:
                del self._plugged[name]
                EVENT_LISTENERS.switch_off(name, error)
        if self._on_event is not None:
            self._on_event(event)
