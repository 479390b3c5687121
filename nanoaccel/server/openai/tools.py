"""The tools of a chat, and whether the model shall call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nanoaccel.server.api_error import bad_request
from nanoaccel.server.chat import ToolChoice
from nanoaccel.server.config import Limits
from nanoaccel.server.http.fields import Fields, shown


def read_tools(fields: Fields, limits: Limits) -> list[dict[str, Any]]:
    """The functions that the model may call.

    Raises:
        ApiError: They are malformed or too many.
    """
    tools = fields.listed("tools", limits.tools)
    for place, tool in enumerate(tools):
        _check_tool(tool, f"tools[{place}]")
    return tools


def read_tool_choice(fields: Fields) -> ToolChoice:
    """Whether to call them.

    Raises:
        ApiError: It is malformed, or cannot be obeyed.
    """
    choice = fields.raw("tool_choice")
    if choice in (None, "auto"):
        return ToolChoice()
    if choice == "none":
        return ToolChoice("none")
    if choice == "required":
        return ToolChoice("required")
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise bad_request(
            f"tool_choice is {shown(choice)}. It is 'auto', 'none', 'required' or "
            "{'type': 'function', 'function': {'name': ...}}",
            "tool_choice",
        )
    return ToolChoice("required", name)


def read_parallel(fields: Fields) -> bool:
    """Whether a reply may call several tools.

    Raises:
        ApiError: It is neither true nor false.
    """
    return fields.typed("parallel_tool_calls", bool, True)


def _check_tool(tool: object, place: str) -> None:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise bad_request(
            f"{place} is no function. Send {{'type': 'function', 'function': {{'name': ...}}}}",
            "tools",
        )
