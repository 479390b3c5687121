"""A checkpoint that was damaged at random ends refused, or exact to the damaged original.

The original is what transformers loads of the same folder without a word of complaint. Every seed
is loaded and read; a few are exported whole and run by the engine, and all of them in the nightly
run.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support import mutations

from nanoaccel import LLM, SamplingParams
from nanoaccel.errors import NanoAccelError
from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.reference.encoder import ModelEncoder
from nanoaccel.exporters.source import model_source as sources
from nanoaccel.exporters.source.context import context_length
from nanoaccel.exporters.source.memory import count_parameters
from nanoaccel.exporters.source.tokenizer_files import write_tokenizer
from nanoaccel.exporters.targets.openvino.trace import check_supported

pytestmark = pytest.mark.export

SEEDS = range(300)
FEW = range(3, 300, 50)
EXPORTED = [
    seed if seed in FEW else pytest.param(seed, marks=pytest.mark.nightly) for seed in SEEDS
]
PROMPT = [5, 40, 7, 300, 12, 9, 101, 33, 60, 2, 17, 80]
TEXT = "The tide comes in <|im_start|>twice a day: def add(a, b)\n"


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    for kind in mutations.KINDS:
        mutations.write_model(folder / kind, kind)
    return folder


def damaged(originals: Path, tmp_path: Path, seed: int) -> tuple[Path, str]:
    """A copy of one of the originals, and what was done to it."""
    random = Random(seed)
    kind = random.choice(sorted(mutations.KINDS))
    folder = Path(shutil.copytree(originals / kind, tmp_path / "model"))
    return folder, f"{kind}, {mutations.mutate(random, folder)}"


def original(folder: Path) -> Any:
    """What transformers loads, if it loads all that there is."""
    import torch
    from transformers import AutoModelForCausalLM

    with quiet():
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            trust_remote_code=False,
        )
    assert not any(info.values()), info
    return model.eval()


def logits(model: Any, ids: list[int]) -> Any:
    import torch

    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0].float()


def ids_by_transformers(folder: Path) -> list[int]:
    from transformers import AutoTokenizer

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    found: list[int] = tokenizer.encode(TEXT, add_special_tokens=False)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_load_refuses_a_damaged_model_or_is_exact(
    originals: Path, tmp_path: Path, seed: int
) -> None:
    import torch

    folder, damage = damaged(originals, tmp_path, seed)
    (tmp_path / "tokenizer").mkdir()
    try:
        with quiet():
            source = sources.resolve(str(folder))
            config = sources.load_config(source)
            check_supported(config)
            context_length(config)
            sources.find_checkpoint(source)
            count_parameters(config)
            write_tokenizer(source, tmp_path / "tokenizer")
            encoder = ModelEncoder(tmp_path / "tokenizer")
            model, _ = sources.load(source, "f32")
    except NanoAccelError as error:
        refused = str(error)
    else:
        refused = None
    if refused is not None:
        assert "\n" not in refused, damage
        return
    expected = logits(original(folder), PROMPT)
    assert torch.equal(logits(model, PROMPT).nan_to_num(), expected.nan_to_num()), damage
    assert encoder.encode(TEXT) == ids_by_transformers(folder), damage


@pytest.mark.parametrize("seed", EXPORTED)
def test_export_refuses_a_damaged_model_or_is_exact(
    originals: Path, tmp_path: Path, seed: int
) -> None:
    import torch

    folder, damage = damaged(originals, tmp_path, seed)
    try:
        export(folder, tmp_path / "out", recipe=Recipe(weights="f32"), judge_tokens=64)
    except NanoAccelError as error:
        refused = str(error)
    else:
        refused = None
    if refused is not None:
        assert "\n" not in refused, damage
        return
    wanted = SamplingParams(max_tokens=8, temperature=0, logprobs=0, ignore_eos=True)
    with LLM(tmp_path / "out", precision="f32", speculation="off") as llm:
        output = llm.generate(PROMPT, wanted)
    expected = logits(original(folder), [*PROMPT, *output.token_ids]).log_softmax(-1)
    for step, (token, said) in enumerate(zip(output.token_ids, output.logprobs, strict=True)):
        found = float(expected[len(PROMPT) - 1 + step, token])
        assert abs(found - said.logprob) < 1e-3, damage
    assert torch.isfinite(expected).all()
