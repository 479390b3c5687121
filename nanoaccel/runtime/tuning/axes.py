"""What is worth trying on a machine."""

from __future__ import annotations

from collections.abc import Sequence

from nanoaccel.runtime.config import DEFAULT_STEP_TOKENS
from nanoaccel.runtime.tuning.search import Axis

# In the order that they are worth trying in, where time is short.
_GROUPS = (64, 128, 32, 256)
# 0 quantizes no activations: more exact, so its results differ more than those of another group.
_NO_QUANTIZATION = 0
_CACHE_PRECISIONS = ("u4", "u8", "f16", "bf16", "f32")
_STEP_TOKENS = (64, 256, 512)
# The runtime that the size of groups is told to; it means nothing to another one.
GROUPING = "openvino"


def pass_axes(
    runtimes: Sequence[str],
    weight_group_size: int | None,
    *,
    allow_precision: bool,
) -> list[Axis]:
    """What changes the cost of a pass, whatever else runs on the machine; the best guess first.

    Args:
        runtimes: That the bundle has graphs for, and that are installed.
        weight_group_size: Of the bundle's weights; it is the default group of activations.
        allow_precision: Whether results may differ by more than the order of sums.
    """
    axes = []
    if GROUPING in runtimes:
        groups = tuple(size for size in _GROUPS if size != weight_group_size)
        axes.append(
            Axis("quantization_group", (*groups, _NO_QUANTIZATION) if allow_precision else groups)
        )
    if allow_precision:
        axes.append(Axis("cache_precision", _CACHE_PRECISIONS))
        axes.append(Axis("precision", ("f32",)))
    return axes


def quiet_axes(
    runtimes: Sequence[str], *, threads: int, cpus: int, fixed_threads: bool
) -> list[Axis]:
    """What another program would decide: threads that wait for one that it holds up.

    Args:
        runtimes: As for ``pass_axes``.
        threads: Of the default.
        cpus: Threads that may run at once.
        fixed_threads: Whether the environment sets the threads.
    """
    axes = [] if fixed_threads else [Axis("threads", _thread_counts(threads, cpus))]
    if len(runtimes) > 1:
        axes.append(Axis("runtime", tuple(runtimes)))
    return [axis for axis in axes if axis.values]


def step_axes(most: int) -> list[Axis]:
    """What changes how prompts are cut.

    Args:
        most: Tokens whose step would keep others waiting too long; fewer than by default are fine.
    """
    sizes = [size for size in _STEP_TOKENS if size <= max(most, DEFAULT_STEP_TOKENS)]
    return [Axis("max_step_tokens", tuple(sizes))]


def _thread_counts(threads: int, cpus: int) -> tuple[int, ...]:
    """Fewer, for a machine whose memory is the limit or that others use; and second threads."""
    counts = {threads // 2, threads * 3 // 4, threads - 1, cpus}
    return tuple(sorted(count for count in counts if 1 <= count <= cpus and count != threads))
