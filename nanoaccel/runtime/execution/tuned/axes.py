"""What is worth trying on a machine."""

from __future__ import annotations

from collections.abc import Sequence

from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.execution.tuned.search import Axis
from nanoaccel.runtime.types import defaults

# In the order that they are worth trying in, where time is short.
_GROUPS = (64, 128, 32, 256)
# 0 quantizes no activations: more exact, so its results differ more than those of another group.
_NO_QUANTIZATION = 0
_CACHE_PRECISIONS = ("u4", "u8", "f16", "bf16", "f32")
_STEP_TOKENS = (64, 256, 512)


def pass_axes(
    backend: str,
    weight_group_size: int | None,
    *,
    may_fuse: bool,
    allow_precision: bool,
) -> list[Axis]:
    """What changes the time of a pass, whatever else runs on the machine; the likeliest gain first.

    Args:
        backend: The one that an engine takes by itself.
        weight_group_size: Group size of the bundle's weights; it is the default group of
            activations.
        may_fuse: Whether projections that read one input may be apart.
        allow_precision: Whether results may differ by more than the order of sums.
    """
    axes = []
    tuned = BACKENDS.facts(backend).tunes
    if "quantization_group" in tuned:
        may_fuse = may_fuse and "fuse_projections" in tuned
        axes.append(
            _products(weight_group_size, may_fuse=may_fuse, allow_precision=allow_precision)
        )
    if allow_precision:
        axes.append(Axis.of("cache_precision", _CACHE_PRECISIONS))
        axes.append(Axis.of("precision", ("f32",)))
    return axes


def machine_axes(
    backends: Sequence[str], *, threads: int, cpus: int, fixed_threads: bool
) -> list[Axis]:
    """What another program would decide: threads that wait for one that it holds up.

    Args:
        backends: Backends that run the bundle here, the one that an engine takes first.
        threads: Threads of the default.
        cpus: Threads that may run at once.
        fixed_threads: Whether the environment sets the threads.
    """
    axes = [] if fixed_threads else [Axis.of("threads", _thread_counts(threads, cpus))]
    axes.append(Axis.of("runtime", backends[1:]))
    return [axis for axis in axes if axis.changes]


def step_axes(most: int) -> list[Axis]:
    """What changes how prompts are cut.

    Args:
        most: Tokens whose step would keep others waiting too long; fewer than by default are fine.
    """
    sizes = [size for size in _STEP_TOKENS if size <= max(most, defaults.STEP_TOKENS)]
    return [Axis.of("max_step_tokens", sizes)]


def _products(weight_group_size: int | None, *, may_fuse: bool, allow_precision: bool) -> Axis:
    """How products are made.

    Of what a graph may lack, both are tried together: each alone makes only some passes faster, and
    is harder to tell from noise.
    """
    groups = [size for size in _GROUPS if size != weight_group_size]
    if allow_precision:
        groups.append(_NO_QUANTIZATION)
    alone = Axis.of("quantization_group", groups)
    if not may_fuse:
        return alone
    fused = {"fuse_projections": True}
    return Axis(
        "fused projections and quantization group",
        (*({**change, **fused} for change in alone.changes), fused),
    )


def _thread_counts(threads: int, cpus: int) -> tuple[int, ...]:
    """Fewer, for a machine whose memory is the limit or that others use; and second threads."""
    counts = {threads // 2, threads * 3 // 4, threads - 1, cpus}
    return tuple(sorted(count for count in counts if 1 <= count <= cpus and count != threads))
