"""Operators that put numbers in other places, and change none."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import onnx_ir as ir

from nanoaccel.exporters.targets.onnx.operations.operation import Written
from nanoaccel.exporters.targets.onnx.source.graph import Shape, Tokens, Value
from nanoaccel.exporters.targets.onnx.source.trial import unsupported

_END = 1 << 62


def reshape(it: Written) -> ir.Value:
    """Another shape; so are Squeeze and Unsqueeze."""
    before, after = it.node.inputs[0].shape, it.node.out.shape
    if before == after:
        return it.inputs[0]
    _check_rows(it, before, after)
    sizes = [-1 if isinstance(size, Tokens) else size for size in after]
    return it.out.reshape(it.inputs[0], sizes, it.name)


def _check_rows(it: Written, before: Shape, after: Shape) -> None:
    """Refuse a shape in which numbers of a token do not stay together as they were."""
    leading = [_leading(shape) for shape in (before, after)]
    if None in leading or leading[0] != leading[1]:
        raise unsupported(f"{it.node.kind} ({it.node.name}) mixes tokens")


def _leading(shape: Shape) -> int | None:
    """How many numbers stand in front of the axis of tokens; None where several are."""
    places = [place for place, size in enumerate(shape) if isinstance(size, Tokens)]
    if len(places) > 1:
        return None
    end = places[0] if places else 0
    return prod(size for size in shape[:end] if isinstance(size, int))


def transpose(it: Written) -> ir.Value:
    """Other axes."""
    return it.add("Transpose", it.inputs, perm=it.integers(1))


def concat(it: Written) -> ir.Value:
    """One behind the other."""
    axis = it.node.attributes["axis"] % len(it.node.out.shape)
    it.keep_apart(axis)
    return it.add("Concat", it.inputs, axis=axis)


def cut(it: Written) -> ir.Value:
    """Slice: a part of some axes."""
    before, after = it.node.inputs[0].shape, it.node.out.shape
    steps = it.integers(3)
    if before == after and all(step == 1 for step in steps):
        return it.inputs[0]
    rank = len(before)
    axes = it.integers(4) if len(it.node.inputs) > 4 else list(range(len(steps)))
    begins = it.integers(1)
    kept = []
    for axis, begin, step in zip(axes, begins, steps, strict=True):
        axis %= rank
        if before[axis] == after[axis] and step == 1:
            continue
        it.keep_apart(axis)
        kept.append((axis, begin, _end(it.node.inputs[2], axes.index(axis), it), step))
    return _slice(it, kept)


def _end(value: Value, place: int, it: Written) -> int:
    found = it.constants.integers(value)
    if found is None:
        raise unsupported(f"{it.node.kind} ({it.node.name}) depends on tokens")
    return found[place]


def strided_cut(it: Written) -> ir.Value:
    """StridedSlice, without axes that come or go otherwise than by an index."""
    attributes = it.node.attributes
    before, after = it.node.inputs[0].shape, it.node.out.shape
    if before == after:
        return it.inputs[0]
    if any(attributes.get("new_axis_mask") or ()) or any(attributes.get("ellipsis_mask") or ()):
        raise unsupported(f"{it.node.kind} ({it.node.name}) adds axes")
    begins, ends = it.integers(1), it.integers(2)
    steps = it.integers(3) if len(it.node.inputs) > 3 else [1] * len(begins)
    begin_mask, end_mask, shrunk = (
        [*(attributes.get(name) or ()), *[0] * len(begins)]
        for name in ("begin_mask", "end_mask", "shrink_axis_mask")
    )
    kept = []
    for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        begin, end = 0 if begin_mask[axis] else begin, _END if end_mask[axis] else end
        if shrunk[axis]:
            end = begin + 1 if begin != -1 else _END
        if (begin, step) == (0, 1) and end >= _END // 2:
            continue
        it.keep_apart(axis)
        kept.append((axis, begin, end, step))
    found = _slice(it, kept)
    if not any(shrunk):
        return found
    sizes = [-1 if isinstance(size, Tokens) else size for size in after]
    return it.out.reshape(found, sizes, f"{it.name}/shrunk")


def _slice(it: Written, kept: Sequence[tuple[int, int, int, int]]) -> ir.Value:
    axes, begins, ends, steps = (list(numbers) for numbers in zip(*kept, strict=True))
    parts = [it.out.integers(numbers) for numbers in (begins, ends, axes, steps)]
    return it.add("Slice", [it.inputs[0], *parts])


def split(it: Written) -> Sequence[ir.Value]:
    """Several parts of an axis."""
    axis = it.axis(1)
    it.keep_apart(axis)
    widths = [value.shape[axis] for value in it.node.outputs]
    found = [width for width in widths if isinstance(width, int)]
    if axis == len(it.node.inputs[0].shape) - 1:
        return it.out.writer.split(it.inputs[0], found, it.name)
    ends = [sum(found[: place + 1]) for place in range(len(found))]
    made = []
    for place, (end, width) in enumerate(zip(ends, found, strict=True)):
        parts = [it.out.integers([number]) for number in (end - width, end, axis)]
        made.append(it.add("Slice", [it.inputs[0], *parts], f"/{place}"))
    return made


def gather(it: Written) -> ir.Value:
    """Rows by their numbers."""
    if it.node.attributes.get("batch_dims"):
        raise unsupported(f"Gather ({it.node.name}) has batches")
    axis = it.axis(2)
    it.keep_apart(axis)
    return it.add("Gather", it.inputs, axis=axis)


def gather_elements(it: Written) -> ir.Value:
    """A number for each index, along an axis."""
    axis = it.node.attributes["axis"] % len(it.node.out.shape)
    it.keep_apart(axis)
    return it.add("GatherElements", it.inputs, axis=axis)


def scatter_elements(it: Written) -> ir.Value:
    """Numbers in place of others, along an axis."""
    axis = it.axis(3)
    it.keep_apart(axis)
    if it.node.attributes.get("reduction", "none") != "none":
        raise unsupported(f"ScatterElementsUpdate ({it.node.name}) adds")
    return it.add("ScatterElements", it.inputs, axis=axis)


def broadcast(it: Written) -> ir.Value:
    """Numbers repeated along axes of size 1."""
    if it.node.attributes.get("mode") not in ("numpy", "bidirectional"):
        raise unsupported(f"Broadcast ({it.node.name}) names axes")
    if it.node.inputs[0].shape == it.node.out.shape:
        return it.inputs[0]
    return it.add("Expand", [it.inputs[0], it.out.sizes(it.node.out.shape, it.name)])


def tile(it: Written) -> ir.Value:
    """All numbers, several times."""
    counts = it.integers(1)
    rank = len(it.node.out.shape)
    counts = [1] * (rank - len(counts)) + counts
    for axis, count in enumerate(counts):
        if count != 1 and axis in it.node.out.token_axes:
            raise unsupported(f"Tile ({it.node.name}) mixes tokens")
    x, before = it.inputs[0], it.node.inputs[0].shape
    if len(before) < rank:
        sizes = [-1 if isinstance(size, Tokens) else size for size in before]
        x = it.out.reshape(x, [1] * (rank - len(before)) + sizes, f"{it.name}/wider")
    return it.add("Tile", [x, it.out.integers(counts)])


def pad(it: Written) -> ir.Value:
    """A number around others."""
    begins, ends = it.integers(1), it.integers(2)
    for axis, both in enumerate(zip(begins, ends, strict=True)):
        if any(both):
            it.keep_apart(axis)
    if it.node.attributes.get("pad_mode", "constant") != "constant":
        raise unsupported(f"Pad ({it.node.name}) repeats numbers")
    return it.add("Pad", [it.inputs[0], it.out.integers([*begins, *ends]), *it.inputs[1:]])
