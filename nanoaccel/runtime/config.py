"""How the engine runs: what the user set, and what that means for this bundle on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends import BackendInfo, CachePrecision, Precision

DEFAULT_STEP_TOKENS = 128
DEFAULT_RUNNING = 32
_MEMORY_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """Options of ``LLM``.

    Args:
        threads: Threads for the graph; None lets the runtime choose.
        precision: "auto" is what this CPU does fastest; "f32" computes everything in f32, for
            exactness tests.
        cache_precision: Type of cached keys and values; "auto" is the runtime's choice.
        kv_cache_memory: Bytes for the cache; None takes up to a quarter of the free memory.
        max_step_tokens: Tokens in one step at most; longer prompts are cut into chunks.
        max_running: Requests that run at the same time at most.

    Raises:
        ConfigError: A value is out of range.
    """

    threads: int | None = None
    precision: Precision = "auto"
    cache_precision: CachePrecision = "auto"
    kv_cache_memory: int | None = None
    max_step_tokens: int = DEFAULT_STEP_TOKENS
    max_running: int = DEFAULT_RUNNING

    def __post_init__(self) -> None:
        for name in ("threads", "kv_cache_memory", "max_step_tokens", "max_running"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value} is out of range", "It must be 1 or more")
        _check_choice("precision", self.precision, get_args(Precision))
        _check_choice("cache_precision", self.cache_precision, get_args(CachePrecision))

    def cache_blocks(self, info: BackendInfo, context_length: int, free_memory: int) -> int:
        """Blocks to allocate: what was asked, else what ``max_running`` full contexts need.

        Args:
            info: Size of a block.
            context_length: Tokens that the model can attend to.
            free_memory: Bytes that this process may still use.

        Raises:
            ConfigError: ``kv_cache_memory`` is less than one block, or more than is free.
        """
        if self.kv_cache_memory is not None:
            if self.kv_cache_memory > free_memory:
                raise ConfigError(
                    f"kv_cache_memory={self.kv_cache_memory} is more than the {free_memory} bytes "
                    "that are free",
                    "Lower it",
                )
            blocks = self.kv_cache_memory // info.bytes_per_block
            if blocks < 1:
                raise ConfigError(
                    f"kv_cache_memory={self.kv_cache_memory} holds no cache block",
                    f"A block of {info.block_size} tokens needs {info.bytes_per_block} bytes",
                )
            return blocks
        wanted = self.max_running * -(-context_length // info.block_size)
        affordable = int(free_memory * _MEMORY_SHARE) // info.bytes_per_block
        return max(1, min(wanted, affordable))


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}={value!r} is unknown", f"Choose one of {', '.join(allowed)}")
