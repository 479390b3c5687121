"""How the states of a prompt become one vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from nanoaccel.errors import RequestError
from nanoaccel.runtime.types.values import as_bool, as_int

PoolingKind: TypeAlias = Literal["last", "mean"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """What an embedding is made of.

    Args:
        kind: "last" is the state of the prompt's last token, "mean" the mean of all.
        normalize: Whether its length is made 1.
        dimensions: Numbers of it that are kept, from the first; None keeps all. For models that
            were trained so that its beginning is an embedding too (Matryoshka).

    Raises:
        RequestError: A value is of the wrong type or out of range.
    """

    kind: PoolingKind = "last"
    normalize: bool = True
    dimensions: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(PoolingKind):
            raise RequestError(
                f"pooling={self.kind!r:.80} is unknown",
                f"Choose one of {', '.join(get_args(PoolingKind))}",
            )
        as_bool("normalize", self.normalize, RequestError)
        if self.dimensions is None:
            return
        count = as_int("dimensions", self.dimensions, RequestError)
        if count < 1:
            raise RequestError(f"dimensions={count} is out of range", "It is 1 or more")
        object.__setattr__(self, "dimensions", count)
