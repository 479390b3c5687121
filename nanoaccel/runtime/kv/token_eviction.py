"""Which tokens a request keeps in the cache when it may not keep all."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Literal

import numpy as np

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.types.plan import Float64Array
from nanoaccel.runtime.types.values import as_int

# A share of the tokens goes at once, so that a long text is not rearranged every few tokens.
_FREED_SHARE = 8
_RECENT_SHARE = 4


@dataclass(frozen=True, slots=True)
class CacheEviction:
    """Bounds the tokens that a request holds in the cache; what was dropped is forgotten.

    Each time the request holds ``max_tokens``, an eighth of them is dropped, in whole blocks. The
    first ones stay: attention needs them as a sink (StreamingLLM, Xiao et al. 2024). By position,
    the oldest after them go. By score, those go that drew the least attention so far, but never
    the most recent ones (H2O, Zhang et al. 2023).

    Args:
        max_tokens: Tokens held at most; those that do not fill a block do not count.
        start_tokens: Tokens at the start of the prompt that are never dropped; rounded up to
            blocks.
        recent_tokens: Tokens at the end that are never dropped; rounded up to blocks. None is a
            quarter of ``max_tokens``. Only for ``by="score"``.
        by: Order in which tokens are dropped: "position" or "score".

    Raises:
        ConfigError: A value is of the wrong type, out of range, or has no meaning.

    Examples:
        >>> from nanoaccel import LLM, CacheEviction
        >>> with LLM("bundle", cache_eviction=CacheEviction(48, start_tokens=4)) as llm:
        ...     output = llm.generate("Once upon a time")
        >>> output.finish_reason in ("stop", "length")
        True
    """

    max_tokens: int
    start_tokens: int = 32
    recent_tokens: int | None = None
    by: Literal["position", "score"] = "position"

    def __post_init__(self) -> None:
        if self.by not in ("position", "score"):
            raise ConfigError(
                f"cache_eviction by={self.by!r} is unknown", "Choose one of position, score"
            )
        for name, least in (("max_tokens", 1), ("start_tokens", 0), ("recent_tokens", 1)):
            value = getattr(self, name)
            if value is None and name == "recent_tokens":
                continue
            value = as_int(f"cache_eviction {name}", value)
            object.__setattr__(self, name, value)
            if value < least:
                raise ConfigError(
                    f"cache_eviction {name}={value} is out of range", f"It must be {least} or more"
                )
        if self.recent_tokens is not None and self.by == "position":
            raise ConfigError(
                f"cache_eviction recent_tokens={self.recent_tokens} has no meaning with "
                "by='position'",
                "Leave it out: by position the oldest tokens go",
            )

    def in_blocks(self, block_size: int) -> CacheEviction:
        """The same in whole blocks: ``max_tokens`` rounded down, the others up.

        Raises:
            ConfigError: ``max_tokens`` leaves no room for what must stay and what is dropped.

        Examples:
            >>> from nanoaccel import CacheEviction
            >>> CacheEviction(100, start_tokens=4).in_blocks(16)
            CacheEviction(max_tokens=96, start_tokens=16, recent_tokens=None, by='position')
        """
        parts = _Parts.of(self, self.max_tokens // block_size, block_size)
        if not parts.fits:
            larger = (_Parts.of(self, total, block_size) for total in count(parts.total + 1))
            least = next(parts.total for parts in larger if parts.fits) * block_size
            raise ConfigError(
                f"cache_eviction max_tokens={self.max_tokens} leaves no room for the tokens that "
                "stay",
                f"Raise it to {least} or more, or let fewer stay",
            )
        return CacheEviction(
            max_tokens=parts.total * block_size,
            start_tokens=parts.start * block_size,
            recent_tokens=None if self.by == "position" else parts.recent * block_size,
            by=self.by,
        )


@dataclass(frozen=True, slots=True)
class _Parts:
    """Blocks that are held, that stay at the start and at the end, and that go at once."""

    total: int
    start: int
    recent: int
    freed: int

    @classmethod
    def of(cls, eviction: CacheEviction, total: int, block_size: int) -> _Parts:
        recent = eviction.recent_tokens
        if recent is None:
            recent = 1 if eviction.by == "position" else total * block_size // _RECENT_SHARE
        return cls(
            total=total,
            start=-(-eviction.start_tokens // block_size),
            recent=max(1, -(-recent // block_size)),
            freed=max(1, total // _FREED_SHARE),
        )

    @property
    def fits(self) -> bool:
        return self.start + self.recent + self.freed <= self.total


def blocks_to_drop(
    eviction: CacheEviction, num_blocks: int, block_size: int, scores: Float64Array | None
) -> list[int]:
    """Choose the blocks that a request gives up.

    Args:
        eviction: What it may hold.
        num_blocks: Full blocks that it holds.
        block_size: Tokens in a block.
        scores: f64[num_blocks], the attention that each block drew so far; only for
            ``by="score"``. Among equals the older ones go.

    Returns:
        Indices in its block table, ascending; none while it holds less than it may.
    """
    parts = _Parts.of(eviction, eviction.max_tokens // block_size, block_size)
    if num_blocks < parts.total:
        return []
    assert num_blocks == parts.total, "a request holds more blocks than it may"
    if eviction.by == "position":
        return list(range(parts.start, parts.start + parts.freed))
    assert scores is not None, "blocks are dropped by score"
    assert len(scores) == num_blocks, "each block has a score"
    candidates = scores[parts.start : parts.total - parts.recent]
    lowest = np.argsort(candidates, kind="stable")[: parts.freed]
    return sorted(int(index) + parts.start for index in lowest)
