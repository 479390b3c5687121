"""What ``LLM`` takes for what its user leaves out, in the units of its arguments."""

from __future__ import annotations

STEP_TOKENS = 128
RUNNING = 32
WAITING = 1024
PROMPT_CACHE_SIZE = 4 << 30
LOADED_ADAPTERS = 16
