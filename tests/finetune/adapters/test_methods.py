"""Adapter methods of plugins, by their names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.plugins import Install, installing

from nanoaccel.errors import ConfigError, PluginError
from nanoaccel.finetune.run import told_options
from nanoaccel.finetune.train.options import TrainingOptions

SOURCE = """
class Mine:
    rate = 2e-4
    four_bits = True
    def configure(self, options): return {"use_rslora": True}

class Broken(Mine):
    def __init__(self): raise OSError("gone")
"""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path) -> Iterator[Install]:
    with installing(tmp_path) as install:
        install(
            "some-adapters", {"adapter_methods.v1": {"mine": "Mine", "broken": "Broken"}}, SOURCE
        )
        yield install


def test_method_of_a_plugin_decides_and_is_recorded_with_its_package() -> None:
    options = TrainingOptions(method="mine")
    assert (options.rate, options.four_bits, options.adapts) == (2e-4, True, True)
    assert told_options({"method": "mine", "rank": 4}) == {
        "method": "mine",
        "rank": "4",
        "method_package": "some-adapters 1.0",
    }
    assert "method_package" not in told_options({"method": "lora"})


def test_unknown_and_broken_methods_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"method='mime' is unknown\. Did you mean 'mine'"):
        TrainingOptions(method="mime")
    with pytest.raises(PluginError, match="adapter method 'broken' failed with OSError: gone"):
        TrainingOptions(method="broken")
