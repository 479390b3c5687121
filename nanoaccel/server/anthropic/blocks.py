"""A reply as content blocks: built part by part, with the events that tell of each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from nanoaccel.server.chat import CallArguments, CallBegin, Content, End, Part, Reasoning


class BlockWriter:
    """Writes the blocks of a reply.

    Attributes:
        blocks: Those that were begun; the last one may not be complete.
        finish_reason: As ``End`` has it; empty before.
    """

    def __init__(self) -> None:
        self.blocks: list[dict[str, Any]] = []
        self.finish_reason = ""
        self._arguments = ""

    def write(self, parts: Iterable[Part]) -> list[dict[str, Any]]:
        """Take further parts; the events that tell of them."""
        return [event for part in parts for event in self._write(part)]

    def _write(self, part: Part) -> list[dict[str, Any]]:
        if isinstance(part, End):
            self.finish_reason = part.finish_reason
            return self._stop()
        if isinstance(part, CallBegin):
            block = {"type": "tool_use", "id": part.id, "name": part.name, "input": {}}
            return [*self._stop(), self._start(block)]
        if isinstance(part, CallArguments):
            self._arguments += part.text
            return [self._delta({"type": "input_json_delta", "partial_json": part.text})]
        if isinstance(part, Content):
            begun = self._continue({"type": "text", "text": ""})
            self.blocks[-1]["text"] += part.text
            return [*begun, self._delta({"type": "text_delta", "text": part.text})]
        assert isinstance(part, Reasoning)
        begun = self._continue({"type": "thinking", "thinking": "", "signature": ""})
        self.blocks[-1]["thinking"] += part.text
        return [*begun, self._delta({"type": "thinking_delta", "thinking": part.text})]

    def _continue(self, block: dict[str, Any]) -> list[dict[str, Any]]:
        """Go on with a block of this kind, or begin one."""
        if self.blocks and self.blocks[-1]["type"] == block["type"]:
            return []
        return [*self._stop(), self._start(block)]

    def _start(self, block: dict[str, Any]) -> dict[str, Any]:
        self.blocks.append(block)
        place = len(self.blocks) - 1
        return {"type": "content_block_start", "index": place, "content_block": dict(block)}

    def _delta(self, delta: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": len(self.blocks) - 1, "delta": delta}

    def _stop(self) -> list[dict[str, Any]]:
        """End the last block, if there is one."""
        if not self.blocks:
            return []
        if self.blocks[-1]["type"] == "tool_use":
            self.blocks[-1]["input"] = _arguments(self._arguments)
            self._arguments = ""
        return [{"type": "content_block_stop", "index": len(self.blocks) - 1}]


def _arguments(text: str) -> dict[str, Any]:
    """The arguments of a call; empty where the reply was cut short in them."""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
