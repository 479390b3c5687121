"""Text that a model writes itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nanoaccel.calibration.datasets import (
    CalibrationOptions,
    PromptFrame,
    cached_windows,
    load_calibration,
    write_own_text,
)
from nanoaccel.errors import ConfigError, SourceError
from nanoaccel.testing.tiny_models import VOCAB_SIZE, make_model

pytestmark = pytest.mark.export

END = 2
PLAIN = PromptFrame((0,), ((END, 0),), frozenset({END}))


class TransformersEncoder:
    """A tokenizer of transformers, as calibration needs it."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.begin_ids = [tokenizer.bos_token_id]

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False)

    def render(self, messages: Sequence[Mapping[str, str]]) -> str | None:
        return self._tokenizer.apply_chat_template(list(messages), tokenize=False)


@pytest.fixture(scope="module")
def model() -> Any:
    return make_model("llama")


def _write(model: Any, script: PromptFrame = PLAIN, **more: Any) -> list[list[int]]:
    asked = {"windows": 5, "length": 24, "seed": 3, "tick": lambda _: None, **more}
    return [window.tolist() for window in write_own_text(model, script, **asked)]


def test_windows_are_whole_and_begin_as_the_script_does(model: Any) -> None:
    windows = _write(model, PromptFrame((0, 7, 8), ((END, 0),), frozenset({END})))
    assert [len(window) for window in windows] == [24] * 5
    assert all(window[:3] == [0, 7, 8] for window in windows)
    assert all(0 <= token < VOCAB_SIZE for window in windows for token in window)
    assert len({tuple(window) for window in windows}) == 5


def test_the_seed_decides_and_the_batch_does_not(model: Any) -> None:
    windows = _write(model)
    assert _write(model) == windows
    assert _write(model, batch=1) == windows
    assert _write(model, batch=2) == windows
    assert _write(model, windows=3) == windows[:3]
    assert _write(model, length=10) == [window[:10] for window in windows]
    assert _write(model, seed=4) != windows


def test_bridges_follow_the_ends_in_turn(model: Any) -> None:
    ends = frozenset(range(3, VOCAB_SIZE, 4))
    script = PromptFrame((0,), ((1, 1, 1), (2, 2)), ends)
    for window in _write(model, script, length=80):
        assert not ends & set(window)
        text = "".join({0: "o", 1: "a", 2: "b"}.get(token, ".") for token in window)
        found = [piece for piece in text.replace("aaa", "A").replace("bb", "B") if piece in "AB"]
        assert len(found) > 4
        assert all(one != other for one, other in pairwise(found))


def test_the_cache_of_the_model_gives_what_the_whole_text_would(model: Any) -> None:
    import torch

    from nanoaccel.calibration.datasets.own_text import _chances, sample_nucleus

    windows = torch.tensor(_write(model, PromptFrame((0,), ((0,),), frozenset())))
    chances = torch.from_numpy(_chances(3, range(5), 24))
    with torch.inference_mode():
        logits = model(windows).logits
    for place in range(1, 24):
        expected = sample_nucleus(logits[:, place - 1], chances[:, place])
        assert expected.tolist() == windows[:, place].tolist()


def test_a_chat_model_calibrates_on_its_own_talk(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    talker = AutoModelForCausalLM.from_pretrained(tiny_model)
    encoder = TransformersEncoder(tokenizer)
    script = PromptFrame.of(encoder, [tokenizer.eos_token_id])
    assert tokenizer.decode(script.opening) == "<|im_start|>user\n"
    assert [tokenizer.decode(bridge) for bridge in script.bridges] == [
        "<|im_end|>\n<|im_start|>assistant\n",
        "<|im_end|>\n<|im_start|>user\n",
    ]
    options = CalibrationOptions(source="self", samples=4, held_out=2, length=48)

    def write(windows: int) -> list[NDArray[np.int64]]:
        return cached_windows(
            tmp_path,
            f"tiny {options}",
            (windows, options.length),
            lambda: write_own_text(
                talker,
                script,
                windows=windows,
                length=options.length,
                seed=options.seed,
                tick=lambda _: None,
            ),
        )

    data = load_calibration(options, encoder, context=4096, own_text=write)
    assert (len(data.samples), len(data.held_out)) == (4, 2)
    assert all(tokenizer.decode(w).startswith("<|im_start|>user\n") for w in data.held_out)
    again = load_calibration(options, encoder, context=4096, own_text=write)
    assert again.digest == data.digest


def test_a_bf16_model_writes() -> None:
    import torch

    windows = _write(make_model("llama").to(torch.bfloat16))
    assert [len(window) for window in windows] == [24] * 5


@pytest.mark.parametrize("kind", ["gpt2", "gemma3_text", "qwen3"])
def test_other_architectures_write(kind: str) -> None:
    windows = _write(make_model(kind), length=100)  # past Gemma's sliding window
    assert [len(window) for window in windows] == [100] * 5


def test_progress_goes_up_to_one(model: Any) -> None:
    told: list[float] = []
    _write(model, batch=2, tick=told.append)
    assert told == sorted(told)
    assert told[0] > 0
    assert told[-1] == 1


def test_sampling_follows_the_probabilities_inside_the_nucleus() -> None:
    import torch

    from nanoaccel.calibration.datasets.own_text import sample_nucleus

    logits = torch.tensor([0.3, 0.5, 0.04, 0.16]).log().repeat(1000, 1)
    chances = torch.linspace(0, 1, 1001, dtype=torch.float64)[:-1]
    shares = np.bincount(sample_nucleus(logits, chances).tolist(), minlength=4) / 1000
    assert shares == pytest.approx([0.3 / 0.96, 0.5 / 0.96, 0, 0.16 / 0.96], abs=0.002)


def test_a_flat_distribution_over_a_large_vocabulary_is_sampled() -> None:
    import torch

    from nanoaccel.calibration.datasets.own_text import sample_nucleus

    found = sample_nucleus(torch.zeros(3, 50_000), torch.tensor([0.0, 0.5, 1 - 2**-53]))
    assert len(set(found.tolist())) == 3


def test_a_window_without_room_behind_the_opening_is_refused(model: Any) -> None:
    with pytest.raises(ConfigError, match=r"length=24 leaves no room behind the 24 tokens"):
        _write(model, PromptFrame(tuple(range(3, 27)), ((END, 0),), frozenset({END})))


def test_a_model_that_gives_no_numbers_is_refused() -> None:
    import torch

    broken = make_model("llama")
    with torch.no_grad():
        broken.lm_head.weight.fill_(float("nan"))
    with pytest.raises(SourceError, match="logits that are not numbers"):
        _write(broken)
