"""What a connection of this server offers beside ASGI, in ``scope["extensions"]``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

# Hangs up at once.
ABORT = "nanoaccel.abort"
# Whether the connection is beyond the limit.
SURPLUS = "nanoaccel.surplus"
# Sends a part of an answer that has begun and not ended.
SEND_PART = "nanoaccel.send_part"

SendPart: TypeAlias = Callable[[bytes], Awaitable[None]]
