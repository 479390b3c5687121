"""How the engine runs: what the user set, and what that means for this bundle on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends import BackendInfo, CachePrecision, Precision
from nanoaccel.runtime.kv import CacheEviction
from nanoaccel.runtime.sampling import SamplingSettings
from nanoaccel.runtime.scheduling.options import as_eviction, check_speculation
from nanoaccel.runtime.types import defaults
from nanoaccel.runtime.types.values import (
    as_bool,
    as_float,
    as_int,
    as_path,
    as_paths,
    as_text,
    take_types,
)
from nanoaccel.sizes import as_bytes

_MEMORY_SHARE = 0.25

GenerationConfig: TypeAlias = Literal["auto", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """Options of ``LLM``. None is the default, everywhere.

    Args:
        threads: Threads for the graph; None lets the runtime choose.
        precision: Inference precision; "auto", the default, is what this CPU does fastest, "f32"
            computes everything in f32, for exactness tests.
        cache_precision: Type of cached keys and values; "auto", the default, is the backend's
            choice.
        kv_cache_memory: Bytes for the cache, or a size such as "2GB"; None takes up to a quarter of
            the free memory.
        context_length: Tokens of prompt and text together that a request may have; None is what the
            model was made for, which is the most. With less the cache has room for more requests.
        generation_config: Source of the defaults of ``SamplingParams``: "auto" is the model's
            generation_config.json, "off" none, so that the default is greedy.
        quantization_group: Values of an activation that are quantized together, where the runtime
            does so; None is as large as the groups of the weights.
        fuse_projections: Whether to make one matrix of the projections that read one input, in a
            graph where they are apart and whose runtime can; a load then copies the weights. None
            is what ``nanoaccel tune`` found, or no. Bundles that NanoAccel exported are fused.
        max_step_tokens: Tokens in one step at most; longer prompts are cut into chunks. None is
            what ``nanoaccel tune`` found, or 128.
        max_running: Requests that run at the same time at most; 32.
        max_waiting: Requests that may wait before a stream is refused, 1024; ``generate`` never is.
        max_queued_tokens: Tokens of the prompts of requests that wait before a stream is refused,
            unless none waits; None is no limit.
        time_per_token: Seconds that a step may last while requests are decoding; prompts get what
            that leaves. None lets a prompt slow decoding to at most about twice its own time.
        prefix_cache: Whether to keep what was computed for prompts, for those that begin the
            same; True.
        eviction_policy: Order in which cached blocks go: "lru" (the default), "lfu", "cost", or a
            plugin's.
        prompt_cache: Folder where cached blocks go when they are cold, and are found again after
            a restart; None keeps them in memory only.
        prompt_cache_size: Bytes that the folder may hold, or a size such as "4GiB", the default.
        speculation: Drafters that propose tokens, which a step then verifies: "auto" is every one
            that this bundle has, "off" none, else the name of one. The model chooses every token;
            a pass that verifies drafts may round differently. They are used only where they pay.
        draft: Folder of a draft for this model: a bundle with the same tokenizer, or what
            ``nanoaccel draft train`` made; None is the one in the bundle, if it has one.
        corpus_tokens: Tokens of finished requests that drafters may copy from in others; 0, the
            default, keeps requests apart.
        cache_eviction: Bound on the tokens that each request keeps in the cache; None keeps all.
        adapters: Folders of adapters by the names that ``RequestOptions`` calls them, beside those
            of the bundle; empty where they come later, by ``llm.adapters``.
        max_loaded_adapters: Adapters that are in memory, and may be used in one step, at once; 16.
        engines: Engines that share the memory of the machine; each takes its part of what is free,
            or of ``kv_cache_memory``.
        tuned: Whether to use what ``nanoaccel tune`` found here, for all that is not set; True.

    Raises:
        ConfigError: A value is of the wrong type or out of range, or two contradict each other.
    """

    threads: int | None = None
    precision: Precision = "auto"
    cache_precision: CachePrecision = "auto"
    kv_cache_memory: int | None = None
    context_length: int | None = None
    generation_config: GenerationConfig = "auto"
    quantization_group: int | None = None
    fuse_projections: bool | None = None
    max_step_tokens: int | None = None
    max_running: int = defaults.RUNNING
    max_waiting: int = defaults.WAITING
    max_queued_tokens: int | None = None
    time_per_token: float | None = None
    prefix_cache: bool = True
    eviction_policy: str = "lru"
    prompt_cache: Path | None = None
    prompt_cache_size: int = defaults.PROMPT_CACHE_SIZE
    cache_eviction: CacheEviction | None = None
    speculation: str = "auto"
    draft: Path | None = None
    corpus_tokens: int = 0
    adapters: Mapping[str, Path] | None = None
    max_loaded_adapters: int = defaults.LOADED_ADAPTERS
    engines: int = 1
    tuned: bool = True

    def __post_init__(self) -> None:
        take_types(self, _ENGINE_TYPES)
        if self.corpus_tokens < 0:
            raise ConfigError(
                f"corpus_tokens={self.corpus_tokens} is out of range", "It must be 0 or more"
            )
        check_speculation(self.speculation)
        if self.quantization_group is not None and self.quantization_group < 0:
            raise ConfigError(
                f"quantization_group={self.quantization_group} is out of range",
                "It must be 0 or more",
            )
        for name in (
            "threads",
            "kv_cache_memory",
            "context_length",
            "max_step_tokens",
            "max_running",
            "max_waiting",
            "max_queued_tokens",
            "prompt_cache_size",
            "max_loaded_adapters",
            "engines",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value} is out of range", "It must be 1 or more")
        if self.time_per_token is not None and not 0 < self.time_per_token < 3600:
            raise ConfigError(
                f"time_per_token={self.time_per_token} is out of range",
                "It is in seconds, above 0: 0.05 for 20 tokens a second",
            )
        if self.prompt_cache is not None and not self.prefix_cache:
            raise ConfigError("prompt_cache needs the prefix cache", "Leave out prefix_cache=False")
        _check_choice("precision", self.precision, get_args(Precision))
        _check_choice("cache_precision", self.cache_precision, get_args(CachePrecision))
        _check_choice("generation_config", self.generation_config, get_args(GenerationConfig))

    @property
    def step_tokens(self) -> int:
        """Tokens in one step at most."""
        return defaults.STEP_TOKENS if self.max_step_tokens is None else self.max_step_tokens

    def length_within(self, model_length: int) -> int:
        """Tokens that a request may have, of those that the model was made for.

        Raises:
            ConfigError: ``context_length`` is more.
        """
        if self.context_length is None:
            return model_length
        if self.context_length > model_length:
            raise ConfigError(
                f"context_length={self.context_length} is more than the {model_length} tokens that "
                "the model was made for",
                "Lower it, or export the model with a rope_scaling in its config.json",
            )
        return self.context_length

    def model_settings(self, folder: Path) -> SamplingSettings:
        """What stands where sampling parameters leave something open.

        Args:
            folder: Folder of the model's generation_config.json.

        Raises:
            BundleDamagedError: The file is not JSON.
        """
        if self.generation_config == "off":
            return SamplingSettings()
        return SamplingSettings.of_model(folder)

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
            blocks = info.blocks_in(self.kv_cache_memory)
            if blocks < 1:
                raise ConfigError(
                    f"kv_cache_memory={self.kv_cache_memory} holds no cache block",
                    f"A cache of {info.block_size} tokens needs {info.cache_bytes(1)} bytes",
                )
            return blocks
        wanted = self.max_running * -(-context_length // info.block_size)
        affordable = info.blocks_in(int(free_memory * _MEMORY_SHARE))
        return max(1, min(wanted, affordable))


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}={value!r} is unknown", f"Choose one of {', '.join(allowed)}")


_ENGINE_TYPES: dict[str, Callable[[str, Any], object]] = {
    "threads": as_int,
    "precision": as_text,
    "cache_precision": as_text,
    "kv_cache_memory": as_bytes,
    "context_length": as_int,
    "generation_config": as_text,
    "quantization_group": as_int,
    "fuse_projections": as_bool,
    "max_step_tokens": as_int,
    "max_running": as_int,
    "max_waiting": as_int,
    "max_queued_tokens": as_int,
    "time_per_token": as_float,
    "prefix_cache": as_bool,
    "eviction_policy": as_text,
    "prompt_cache": as_path,
    "prompt_cache_size": as_bytes,
    "cache_eviction": as_eviction,
    "speculation": as_text,
    "draft": as_path,
    "corpus_tokens": as_int,
    "adapters": as_paths,
    "max_loaded_adapters": as_int,
    "engines": as_int,
    "tuned": as_bool,
}
