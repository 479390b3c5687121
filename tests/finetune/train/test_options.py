"""What a training chooses where a user does not."""

from __future__ import annotations

import pytest

from nanoaccel.errors import ConfigError
from nanoaccel.finetune.train.options import TrainingOptions


def test_a_base_in_four_bits_is_computed_in_smaller_passes() -> None:
    assert TrainingOptions(method="qlora").tokens_of_pass == 512
    assert TrainingOptions().tokens_of_pass == 1024
    assert TrainingOptions(method="qlora", pass_tokens=2048).tokens_of_pass == 2048
    with pytest.raises(ConfigError, match="pass_tokens=0 is out of range"):
        TrainingOptions(pass_tokens=0)
