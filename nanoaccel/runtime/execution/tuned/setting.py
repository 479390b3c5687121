"""What can be tuned, and how it meets what the user set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from nanoaccel.runtime.backends import CachePrecision, Precision
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.threads import ENVIRONMENT

AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Figures that may differ from the defaults; what is None or "auto" is as by default.

    Args:
        threads: Threads of the graph.
        quantization_group: Values of an activation that are quantized together.
        fuse_projections: As in ``EngineConfig``.
        precision, cache_precision: As in ``EngineConfig``.
        runtime: The one to load; "auto" is the one that an engine takes by itself.
        max_step_tokens: As in ``EngineConfig``.
    """

    threads: int | None = None
    quantization_group: int | None = None
    fuse_projections: bool | None = None
    precision: Precision = "auto"
    cache_precision: CachePrecision = "auto"
    runtime: str = AUTO
    max_step_tokens: int | None = None

    def __str__(self) -> str:
        default = Setting()
        words = [
            f"{item.name.replace('_', ' ')} {getattr(self, item.name)}".removesuffix(" True")
            for item in fields(self)
            if getattr(self, item.name) != getattr(default, item.name)
        ]
        return ", ".join(words) if words else "defaults"


def apply(config: EngineConfig, setting: Setting, environment: Mapping[str, str]) -> EngineConfig:
    """Set what was tuned wherever the user set nothing.

    Args:
        config: What the user set.
        setting: What was tuned.
        environment: Variables; the one that sets threads is the user's word too.
    """
    tuned = config
    if config.threads is None and not environment.get(ENVIRONMENT, "").strip():
        tuned = replace(tuned, threads=setting.threads)
    if config.max_step_tokens is None:
        tuned = replace(tuned, max_step_tokens=setting.max_step_tokens)
    if config.precision == "f32":
        return tuned  # exact results were asked for: nothing may change them
    if config.quantization_group is None and setting.precision == "auto":
        tuned = replace(tuned, quantization_group=setting.quantization_group)
    if config.fuse_projections is None:
        tuned = replace(tuned, fuse_projections=setting.fuse_projections)
    if _by_score(config):
        return tuned  # not measured with scores, and not every runtime tells them
    tuned = replace(tuned, precision=setting.precision)
    if config.cache_precision == "auto":
        tuned = replace(tuned, cache_precision=setting.cache_precision)
    return tuned


def tuned_backend(name: str, config: EngineConfig, setting: Setting) -> str:
    """The backend to load where the user named one, or "auto"."""
    return setting.runtime if name == AUTO and not _by_score(config) else name


def _by_score(config: EngineConfig) -> bool:
    return config.cache_eviction is not None and config.cache_eviction.by == "score"
