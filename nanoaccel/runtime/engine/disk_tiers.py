"""Opens the folder of the prompt cache: a tier for blocks, and one for recurrent states."""

from __future__ import annotations

from nanoaccel.bundle import Bundle
from nanoaccel.runtime.backends import BackendInfo, StateHolder
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.execution.loader import LoadedModel
from nanoaccel.runtime.kv import DiskTier
from nanoaccel.runtime.kv.recurrent import StateMemory

_STATES = "states"


def open_tiers(model: LoadedModel, config: EngineConfig, bundle: Bundle) -> list[DiskTier]:
    """The tier of blocks and, for a model with recurrent states, that of states; none without a
    prompt cache.

    Raises:
        PromptCacheError: The folder cannot be used.
    """
    if config.prompt_cache is None:
        return []
    backend = model.backend
    info = backend.info
    identity = f"{bundle.graph_key(model.name)} {info.cache_layout}"
    size = config.prompt_cache_size
    for_states = int(size * _share_of_states(info))
    blocks = DiskTier(
        config.prompt_cache, identity=identity, max_bytes=size - for_states, memory=backend
    )
    if info.bytes_per_state == 0:
        return [blocks]
    assert isinstance(backend, StateHolder), "a backend with states keeps them"
    try:
        states = DiskTier(
            config.prompt_cache / _STATES,
            identity=identity,
            max_bytes=for_states,
            memory=StateMemory(backend),
        )
    except BaseException:
        blocks.close()
        raise
    return [blocks, states]


def _share_of_states(info: BackendInfo) -> float:
    """Of the memory that a prompt takes with its states."""
    return info.bytes_per_state / (
        info.bytes_per_state + info.blocks_per_state * info.bytes_per_block
    )
