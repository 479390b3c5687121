from __future__ import annotations

import json
from pathlib import Path

import pytest

from nanoaccel.runtime.backends.fake import FakeBackend, hashed
from nanoaccel.runtime.execution.loader import LoadedModel
from nanoaccel.runtime.execution.pass_timing import measure_verification
from nanoaccel.runtime.execution.scaled_curve import ScaledCurve
from nanoaccel.runtime.kv import CacheShape
from nanoaccel.runtime.types.plan import StepPlan, StepResult

PAST = 40 - 24  # what the cache holds before the longest pass


class CountingBackend(FakeBackend):
    def __init__(self) -> None:
        super().__init__(hashed(10), 10)
        self.allocate_cache(10)
        self.sizes: list[int] = []
        self.pasts: set[int] = set()

    def forward(self, plan: StepPlan) -> StepResult:
        self.sizes.append(len(plan.token_ids))
        self.pasts.update(plan.past_lens.tolist())
        return super().forward(plan)


def learned(
    backend: CountingBackend, folder: Path, *, key: str = "model", num_blocks: int = 10
) -> ScaledCurve:
    shape = CacheShape(
        num_blocks=num_blocks,
        block_size=backend.info.block_size,
        length=num_blocks * backend.info.block_size,
    )
    model = LoadedModel("fake", key, backend, shape)
    measure_verification(model, folder)
    return model.times.verify


def test_verification_measures_once_for_each_graph(tmp_path: Path) -> None:
    backend = CountingBackend()
    first = learned(backend, tmp_path)
    assert set(backend.sizes) == {1, 2, 4, 8, 9, 16, 24, PAST}
    backend.sizes.clear()
    second = learned(backend, tmp_path)
    assert backend.sizes == []
    assert [first.seconds(n) for n in (1, 3, 16, 24)] == [second.seconds(n) for n in (1, 3, 16, 24)]
    assert backend.pasts == {0, PAST}
    learned(backend, tmp_path, key="another")
    assert backend.sizes != []


def test_verification_keeps_to_the_cache(tmp_path: Path) -> None:
    backend = CountingBackend()
    learned(backend, tmp_path, num_blocks=1)
    assert set(backend.sizes) == {1, 2, 4}
    backend.sizes.clear()
    learned(backend, tmp_path)
    assert set(backend.sizes) == {1, 2, 4, 8, 9, 16, 24, PAST}, "it reaches farther"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"verify": {"1": "x"}}',
        '{"verify": {"1": -1, "2": 1, "4": 1, "8": 1, "12": 1, "16": 1}}',
        "{" * 9,
    ],
)
def test_verification_measures_again_when_the_file_is_damaged(tmp_path: Path, content: str) -> None:
    backend = CountingBackend()
    learned(backend, tmp_path)
    (file,) = (tmp_path / "pass-times").iterdir()
    file.write_text(content)
    backend.sizes.clear()
    learned(backend, tmp_path)
    assert backend.sizes != []
    assert set(json.loads(file.read_text())["verify"]) == {"1", "2", "4", "8", "9", "16", "24"}


def test_verification_needs_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cost = learned(CountingBackend(), tmp_path / "file")
    assert cost.seconds(1) is not None
