"""What a wheel may hold."""

from __future__ import annotations

import pytest

from scripts.releasing.archives import wheel_problems

LIBRARY = "nanoaccel/runtime/native/libnanoaccel_operators.so"
STOCK = [
    "nanoaccel/__init__.py",
    "nanoaccel/testing/engines.py",
    "nanoaccel-1.0.0.dist-info/METADATA",
    "nanoaccel-1.0.0.dist-info/licenses/LICENSE",
]
ANY = "nanoaccel-1.0.0-py3-none-any.whl"
LINUX = "nanoaccel-1.0.0-py3-none-manylinux_2_28_x86_64.whl"
MAC = "nanoaccel-1.0.0-py3-none-macosx_11_0_arm64.whl"


def test_good_wheels_have_no_problem() -> None:
    assert wheel_problems(STOCK, ANY) == []
    assert wheel_problems([*STOCK, LIBRARY], LINUX) == []


@pytest.mark.parametrize(
    ("names", "wheel", "problem"),
    [
        ([*STOCK, "tests/test_x.py"], ANY, "holds tests/test_x.py"),
        ([*STOCK, "nanoaccel/tests/x.py"], ANY, "holds nanoaccel/tests/x.py"),
        ([*STOCK, "nanoaccel/x.pyc"], ANY, "holds nanoaccel/x.pyc"),
        ([*STOCK, LIBRARY], ANY, f"is for any, and holds {LIBRARY}"),
        ([*STOCK, LIBRARY], MAC, f"is for macosx_11_0_arm64, and holds {LIBRARY}"),
        (STOCK, LINUX, "is for manylinux_2_28_x86_64, and holds no library"),
        (STOCK[:-1], ANY, "has no licence"),
    ],
)
def test_wheel_problems_are_named(names: list[str], wheel: str, problem: str) -> None:
    assert problem in wheel_problems(names, wheel)
