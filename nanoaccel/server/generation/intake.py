"""Threads in which texts become tokens: long ones in a thread of their own, one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

# Characters that take a twentieth of a second or so.
_LONG = 1 << 16
# One for all models: what is scarce is the processor.
_long_texts = ThreadPoolExecutor(1, "long-texts")

P = ParamSpec("P")
T = TypeVar("T")


async def read_in_thread(
    size: int, function: Callable[P, T], *args: P.args, **named: P.kwargs
) -> T:
    """Call what encodes texts in a thread, so that nothing short waits behind what is long.

    Args:
        size: See ``text_size``.
        function: Encodes them.
        args: Its arguments.
        named: Its arguments by name.
    """
    if size < _LONG:
        return await asyncio.to_thread(function, *args, **named)
    call = partial(function, *args, **named)
    return await asyncio.get_running_loop().run_in_executor(_long_texts, call)


def text_size(value: object) -> int:
    """Characters of all texts in a value of JSON; token ids count as one each."""
    found, left = 0, [value]
    while left:
        part: Any = left.pop()
        if isinstance(part, str):
            found += len(part)
        elif isinstance(part, Mapping):
            left.extend(part.values())
        elif isinstance(part, Sequence) and part:
            if isinstance(part[0], int):
                found += len(part)
            else:
                left.extend(part)
    return found
