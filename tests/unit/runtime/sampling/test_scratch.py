import threading

import numpy as np
import pytest

from nanoaccel.runtime.sampling.scratch import Scratch


@pytest.mark.parametrize(
    ("name", "kind"), [("weights", np.float32), ("raw", np.float32), ("mask", np.bool_)]
)
def test_scratch_gives_arrays_of_any_size(name: str, kind: type) -> None:
    scratch = Scratch()
    for size in (0, 1, 100, 99, 101):
        array = getattr(scratch, name)(size)
        assert (array.shape, array.dtype) == ((size,), kind)


@pytest.mark.parametrize("name", ["weights", "raw", "mask"])
def test_scratch_reuses_memory(name: str) -> None:
    scratch = Scratch()
    arrays = {other: getattr(scratch, other)(100) for other in ("weights", "raw", "mask")}
    for size in (50, 100):
        again = getattr(scratch, name)(size)
        assert [other for other in arrays if np.shares_memory(again, arrays[other])] == [name]


def test_scratch_differs_between_threads() -> None:
    scratch = Scratch()
    mine = scratch.weights(10)
    shared: list[bool] = []
    thread = threading.Thread(
        target=lambda: shared.append(np.shares_memory(mine, scratch.weights(10)))
    )
    thread.start()
    thread.join()
    assert shared == [False]
