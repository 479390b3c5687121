"""Chats apart from any wire format: what is asked of a model, and what it says.

An endpoint reads its fields into a ``ChatRequest``, lets ``prepare`` make it ready for a model,
and writes the ``Part``s that the readers find in each completion, streamed or joined.
"""

from nanoaccel.server.chat.parts import (
    CallArguments,
    CallBegin,
    Content,
    End,
    Part,
    Reasoning,
    Reply,
    ToolCall,
)
from nanoaccel.server.chat.prepare import PreparedChat, prepare
from nanoaccel.server.chat.reading.reader import ReplyReader
from nanoaccel.server.chat.request import ChatRequest, ToolChoice

__all__ = [
    "CallArguments",
    "CallBegin",
    "ChatRequest",
    "Content",
    "End",
    "Part",
    "PreparedChat",
    "Reasoning",
    "Reply",
    "ReplyReader",
    "ToolCall",
    "ToolChoice",
    "prepare",
]
