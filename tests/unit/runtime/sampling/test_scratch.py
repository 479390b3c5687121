import threading

import numpy as np

from nanoaccel.runtime.sampling.scratch import Scratch


def test_scratch_reuses_memory() -> None:
    scratch = Scratch()
    first = scratch.weights(100)
    assert first.size == 100
    assert np.shares_memory(first, scratch.weights(50))
    assert not np.shares_memory(first, scratch.raw(100))
    assert scratch.mask(7).dtype == np.bool_


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
