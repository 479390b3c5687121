"""A reply as output items: built part by part, with the events that tell of each."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from nanoaccel.server.chat import CallArguments, CallBegin, Content, End, Part, Reasoning

_Event = dict[str, Any]


class OutputWriter:
    """Writes the items of a reply.

    Attributes:
        items: Those that were begun; the last one may not be complete.
        finish_reason: As ``End`` has it; empty before.
    """

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.finish_reason = ""
        self._logprobs: list[Any] = []
        self._open = False

    def write(self, parts: Iterable[Part], logprobs: Sequence[Any] = ()) -> list[_Event]:
        """Take further parts; the events that tell of them.

        Args:
            parts: The parts.
            logprobs: Log-probabilities of the tokens that they come from.
        """
        self._logprobs += logprobs
        return [event for part in parts for event in self._write(part)]

    def _write(self, part: Part) -> list[_Event]:
        if isinstance(part, End):
            return self._end(part)
        if isinstance(part, Content):
            return self._text(part.text)
        self._logprobs = []  # those of the answer's text are told
        if isinstance(part, Reasoning):
            return self._thought(part.text)
        if isinstance(part, CallBegin):
            call = {"call_id": part.id, "name": part.name, "arguments": ""}
            return [*self._close("completed"), self._add("function_call", "fc", **call)]
        assert isinstance(part, CallArguments)
        self.items[-1]["arguments"] += part.text
        return [self._event("response.function_call_arguments.delta", delta=part.text)]

    def _text(self, text: str) -> list[_Event]:
        begun = self._go_on("message")
        part = self.items[-1]["content"][0]
        logprobs, self._logprobs = self._logprobs, []
        part["text"] += text
        part["logprobs"] += logprobs
        told = {"content_index": 0, "delta": text, "logprobs": logprobs}
        return [*begun, self._event("response.output_text.delta", **told)]

    def _thought(self, text: str) -> list[_Event]:
        begun = self._go_on("reasoning")
        self.items[-1]["content"][0]["text"] += text
        told = {"content_index": 0, "delta": text}
        return [*begun, self._event("response.reasoning_text.delta", **told)]

    def _end(self, part: End) -> list[_Event]:
        self.finish_reason = part.finish_reason
        empty = [] if self.items else self._go_on("message")
        status = "incomplete" if part.finish_reason == "length" else "completed"
        return [*empty, *self._close(status)]

    def _go_on(self, kind: str) -> list[_Event]:
        """Go on with an item of this kind that has one part, or begin one."""
        if self._open and self.items[-1]["type"] == kind:
            return []
        events = self._close("completed")
        if kind == "message":
            events.append(self._add(kind, "msg", role="assistant", content=[]))
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        else:
            events.append(self._add(kind, "rs", summary=[], content=[]))
            part = {"type": "reasoning_text", "text": ""}
        self.items[-1]["content"].append(part)
        told = {"content_index": 0, "part": _copy(part)}
        return [*events, self._event("response.content_part.added", **told)]

    def _add(self, kind: str, prefix: str, **fields: Any) -> _Event:
        item = {"id": f"{prefix}_{uuid.uuid4().hex}", "type": kind, "status": "in_progress"}
        self.items.append({**item, **fields})
        self._open = True
        return {
            "type": "response.output_item.added",
            "output_index": len(self.items) - 1,
            "item": {**item, **{name: _copy(value) for name, value in fields.items()}},
        }

    def _close(self, status: str) -> list[_Event]:
        """End the last item, if one is open."""
        if not self._open:
            return []
        self._open = False
        item = self.items[-1]
        item["status"] = status
        if item["type"] == "function_call":
            told = {"name": item["name"], "arguments": item["arguments"]}
            events = [self._event("response.function_call_arguments.done", **told)]
        else:
            events = self._part_done(item)
        place = len(self.items) - 1
        done = {"type": "response.output_item.done", "output_index": place, "item": item}
        return [*events, done]

    def _part_done(self, item: dict[str, Any]) -> list[_Event]:
        part = item["content"][0]
        told = {"content_index": 0, "text": part["text"]}
        if item["type"] == "message":
            text = self._event("response.output_text.done", **told, logprobs=part["logprobs"])
        else:
            text = self._event("response.reasoning_text.done", **told)
        done = self._event("response.content_part.done", content_index=0, part=part)
        return [text, done]

    def _event(self, kind: str, **fields: Any) -> _Event:
        place = len(self.items) - 1
        return {
            "type": kind,
            "item_id": self.items[-1]["id"],
            "output_index": place,
            **fields,
        }


def _copy(value: Any) -> Any:
    """What an event tells of a list or an object that grows later."""
    if isinstance(value, dict):
        return {name: _copy(each) for name, each in value.items()}
    return list(value) if isinstance(value, list) else value
