"""Options of the engine: how the model runs, and how many engines there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from nanoaccel.cli.options.panels import in_cache, in_engine
from nanoaccel.errors import ConfigError
from nanoaccel.sizes import parse_bytes

if TYPE_CHECKING:
    from nanoaccel.runtime.kv import CacheEviction


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How the model runs; None is as set, or the default of ``LLM``."""

    backend: Annotated[
        str | None,
        in_engine(
            metavar="NAME",
            help="What runs the graph; auto is what is fastest here.",
            show_default="auto",
        ),
    ] = None
    threads: Annotated[int | None, in_engine(help="CPU threads; chosen when not given.")] = None
    precision: Annotated[
        str | None,
        in_engine(
            metavar="auto|f32", help="f32 computes everything in it, slowly.", show_default="auto"
        ),
    ] = None
    max_step_tokens: Annotated[
        int | None,
        in_engine(
            help="Tokens in one step at most; longer prompts are cut into chunks. As tuned, or 128."
        ),
    ] = None
    time_per_token: Annotated[
        float | None,
        in_engine(
            metavar="SECONDS",
            help="How long a step may last while texts are written; prompts get what is left.",
        ),
    ] = None
    kv_cache_memory: Annotated[
        str | None,
        in_cache(metavar="SIZE", help="Memory for it, as 512MB or 2GB; else up to a quarter free."),
    ] = None
    context_length: Annotated[
        int | None,
        in_engine(
            metavar="N", help="Tokens of prompt and text together; as the model has when not given."
        ),
    ] = None
    cache_precision: Annotated[
        str | None,
        in_cache(
            metavar="TYPE",
            help="Of cached keys and values: u4, u8, f16, bf16, f32.",
            show_default="auto",
        ),
    ] = None
    keep_tokens: Annotated[
        int | None,
        in_cache(metavar="N", help="Tokens that a text may attend to; all when not given."),
    ] = None
    keep_by: Annotated[
        str,
        in_cache(
            metavar="position|score",
            help="Start and latest tokens, or start and those that drew most attention.",
        ),
    ] = "position"

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``LLM``.

        Raises:
            ConfigError: ``--kv-cache-memory`` is no size, or ``--keep-tokens`` and ``--keep-by``
                have no meaning.
        """
        memory = self.kv_cache_memory
        return {
            "backend": self.backend,
            "threads": self.threads,
            "precision": self.precision,
            "max_step_tokens": self.max_step_tokens,
            "time_per_token": self.time_per_token,
            "kv_cache_memory": None if memory is None else parse_bytes("--kv-cache-memory", memory),
            "cache_precision": self.cache_precision,
            "cache_eviction": self._cache_eviction(),
            "context_length": self.context_length,
        }

    def _cache_eviction(self) -> CacheEviction | None:
        if self.keep_tokens is None:
            if self.keep_by != "position":
                raise ConfigError(
                    f"--keep-by {self.keep_by} has no meaning without --keep-tokens",
                    "Say how many tokens to keep",
                )
            return None
        from nanoaccel.runtime.kv import CacheEviction

        try:
            return CacheEviction(self.keep_tokens, by=self.keep_by)  # type: ignore[arg-type]
        except ConfigError as error:  # its names are not those of the options
            raise ConfigError(
                f"--keep-tokens {self.keep_tokens} --keep-by {self.keep_by}: {error.problem}",
                error.remedy,
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaOptions:
    """How many engines run; None is as set, or the default of ``LLM``."""

    replicas: Annotated[
        str | None,
        in_engine(
            metavar="auto|N",
            help="Engines, each in a process of its own; auto is one for each NUMA node.",
            show_default="auto",
        ),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``LLM``.

        Raises:
            ConfigError: ``--replicas`` is neither.
        """
        if self.replicas in (None, "auto"):
            return {"replicas": self.replicas}
        assert self.replicas is not None
        if not self.replicas.isdecimal() or int(self.replicas) < 1:
            raise ConfigError(
                f"--replicas {self.replicas!r} is no number of engines", "It is 1 or more, or auto"
            )
        return {"replicas": int(self.replicas)}
