from __future__ import annotations

import numpy as np

from nanoaccel.runtime.backends.fake import FakeBackend, hashed
from nanoaccel.runtime.kv import BlockCopies, BlockId


def test_copies_replace_one_block_and_no_other() -> None:
    memory = FakeBackend(hashed(8), 8)
    memory.allocate_cache(3)
    contents = [np.full(memory.block_bytes, value, np.uint8) for value in (1, 2, 3)]
    for block, content in enumerate(contents):
        memory.write_block(block, content)
    copies = BlockCopies(memory)
    for source, target in ((0, 2), (1, 0)):
        copies.copy(BlockId(source), BlockId(target))
        contents[target] = contents[source]
    found = np.empty(memory.block_bytes, np.uint8)
    for block, content in enumerate(contents):
        memory.read_block(block, found)
        assert np.array_equal(found, content)
