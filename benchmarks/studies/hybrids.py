"""Models with recurrent states: n-gram speculation against plain, and prefixes found again.

    python -m benchmarks.studies.hybrids [--kind qwen3_5_text] [--runtime openvino] [--tokens 64]
        [--prefix 2000] [--rounds 3] [--folder FOLDER]

A random model of about 0.13 billion weights in f16 is made and traced; with --folder it is kept
there, and found there the next time. Its last projection is such that it goes on with a phrase
that its prompts repeat: always when it is greedy, mostly when it is sampled, so that draft tokens
are refused. Plain and speculative decoding take turns on one opened model, and the least time of
each counts. What states of draft tokens cost is measured apart: a pass that keeps one behind each
of its tokens, against one that keeps those before and behind the draft tokens alone.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.machine import machine
from nanoaccel import LLM, RequestOptions, SamplingParams
from nanoaccel.bundle import Bundle
from nanoaccel.runtime.backends import Backend
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.execution.loader import open_backend
from nanoaccel.runtime.execution.state_timing import with_states
from nanoaccel.runtime.types.packing import even_plan
from nanoaccel.runtime.types.plan import StepPlan

_SIZES: dict[str, Any] = {
    "vocab_size": 32_000,
    "hidden_size": 768,
    "intermediate_size": 2304,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_KINDS: dict[str, dict[str, Any]] = {
    "qwen3_5_text": {
        "head_dim": 128,
        "linear_num_value_heads": 8,
        "linear_num_key_heads": 8,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 3,
    },
    "granitemoehybrid": {
        "num_local_experts": 0,
        "num_experts_per_tok": 0,
        "shared_intermediate_size": 2304,
        "mamba_n_heads": 24,
        "mamba_d_head": 64,
        "mamba_d_state": 128,
        "mamba_n_groups": 1,
        "layer_types": (["mamba"] * 5 + ["attention"]) * 2,
    },
    "lfm2": {
        "block_auto_adjust_ff_dim": False,
        "block_ff_dim": 2304,
        "layer_types": (["conv"] * 2 + ["full_attention"]) * 4,
    },
}
_DRAFTS = 7
_PHRASE = 16
_SHARPNESS = 0.019  # what follows has a chance of 0.98 or so


def make(folder: Path, kind: str) -> None:
    """Trace a random model into a folder that opens."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.targets.openvino.trace import trace

    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{**_SIZES, **_KINDS[kind]})
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        # Before each token stands the one before it in its phrase.
        follows = torch.arange(_SIZES["vocab_size"]).view(-1, _PHRASE).roll(1, 1).flatten()
        embeddings = model.get_input_embeddings().weight
        embeddings.normal_(0, 1)
        model.get_output_embeddings().weight.copy_(embeddings[follows] * _SHARPNESS)
    with quiet():
        trace(model.half().eval(), folder)
    words = {f"w{index}": index for index in range(_SIZES["vocab_size"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="w0", eos_token="w2"
    ).save_pretrained(folder)


def make_onnx(folder: Path) -> Path:
    """Write the ONNX graph of what was traced into a folder in it that opens."""
    from nanoaccel.exporters.targets.onnx.build import build_graph

    out = folder / "onnx"
    if not out.is_dir():
        context = _SIZES["max_position_embeddings"]
        graph = build_graph(folder / "openvino_model.xml", out, context)
        model = {"context_length": context, "decoder": {"filename": graph.name}}
        (out / "genai_config.json").write_text(json.dumps({"model": model}))
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(folder / name, out / name)
    return out


def repeating(count: int) -> list[list[int]]:
    """Prompts of a phrase, again and again."""
    phrases = random.Random(0).sample(range(1, _SIZES["vocab_size"] // _PHRASE), count)
    return [[*range(_PHRASE * phrase, _PHRASE * (phrase + 1))] * 6 for phrase in phrases]


def seconds_of(llm: LLM, prompt: Sequence[int], way: SamplingParams, speculation: str) -> float:
    """Seconds that a text takes behind its first token, which a pass of its own gives."""
    options = RequestOptions(speculation=speculation)  # type: ignore[arg-type]
    begun, first = 0.0, True
    for _ in llm.stream(list(prompt), way, options):
        if first:
            begun, first = time.perf_counter(), False
    return time.perf_counter() - begun


def compare(llm: LLM, sampling: SamplingParams, rounds: int) -> tuple[float, float]:
    """Plain over speculative time, of some prompts together; and how many drafts were right."""
    prompts = repeating(2)
    least: dict[str, list[float]] = {}
    before = llm.counters().speculation
    for _ in range(rounds):
        for way in ("off", "auto"):
            found = [seconds_of(llm, prompt, sampling, way) for prompt in prompts]
            earlier = least.get(way, found)
            least[way] = [min(pair) for pair in zip(earlier, found, strict=True)]
    after = llm.counters().speculation
    drafted = after.drafted_tokens - before.drafted_tokens
    accepted = after.accepted_tokens - before.accepted_tokens
    return sum(least["off"]) / sum(least["auto"]), accepted / max(1, drafted)


def prefix_share(folder: Path, length: int, rounds: int) -> float:
    """What a prompt costs whose first ``length`` tokens are found, as a share of cold."""
    draw = random.Random(1)
    words = range(3, _SIZES["vocab_size"])
    params = SamplingParams(max_tokens=1)
    cold, found = [], []
    with LLM(folder, speculation="off") as llm:
        llm.generate(draw.choices(words, k=64), params)
        for _ in range(rounds):
            prefix = draw.choices(words, k=length)
            for times in (cold, found):
                begun = time.perf_counter()
                llm.generate([*prefix, *draw.choices(words, k=16)], params)
                times.append(time.perf_counter() - begun)
    return min(found) / min(cold)


def state_costs(folder: Path, runtime: str, rounds: int) -> tuple[float, float]:
    """Milliseconds of a pass with draft tokens, and what keeping all their states adds."""
    backend = open_backend(Bundle.open(folder), runtime, EngineConfig())
    backend.allocate_cache(64)
    plan = even_plan([[0]], 0, _DRAFTS + 1, all_rows=True)
    plans = (with_states(plan, _DRAFTS, _DRAFTS - 1), with_states(plan, 1, 0))
    least = [float("inf")] * 2
    for _ in range(10 * rounds):
        for index, one in enumerate(plans):
            least[index] = min(least[index], _seconds(backend, one))
    backend.close()
    return least[0] * 1e3, (least[1] - least[0]) * 1e3


def _seconds(backend: Backend, plan: StepPlan) -> float:
    begun = time.perf_counter()
    backend.forward(plan)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--kind", choices=_KINDS, default="qwen3_5_text")
    add("--runtime", choices=("openvino", "onnx"), default="openvino")
    add("--tokens", type=int, default=64)
    add("--prefix", type=int, default=2000)
    add("--rounds", type=int, default=3)
    add("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if arguments.folder is None else arguments.folder
        if not (folder / "openvino_model.xml").is_file():
            make(folder, arguments.kind)
        size = (folder / "openvino_model.bin").stat().st_size
        if arguments.runtime == "onnx":
            folder = make_onnx(folder)
        with LLM(folder, prefix_cache=False) as llm:
            info = llm.backend
            print(
                f"{machine()}, {info.threads} threads, {arguments.kind}, "
                f"{info.name}, {size / 1e6:.0f} MB"
            )
            state, block = info.bytes_per_state / 1e6, info.bytes_per_block / 1e6
            print(f"a state {state:.2f} MB, a block {block:.3f} MB", flush=True)
            llm.generate(repeating(1)[0], SamplingParams(max_tokens=16, ignore_eos=True))
            for name, temperature in (("greedy", 0.0), ("sampled", 1.0)):
                way = SamplingParams(
                    max_tokens=arguments.tokens, ignore_eos=True, temperature=temperature, seed=1
                )
                gain, right = compare(llm, way, arguments.rounds)
                print(f"{name}: speculation {gain:.2f} times plain, {right:.0%} right", flush=True)
        share = prefix_share(folder, arguments.prefix, arguments.rounds)
        print(f"a prefix of {arguments.prefix} tokens found again: {share:.1%} of cold", flush=True)
        one_pass, more = state_costs(folder, arguments.runtime, arguments.rounds)
    print(f"a pass of {_DRAFTS + 1} tokens: {one_pass:.1f} ms; states behind each: {more:+.2f} ms")


if __name__ == "__main__":
    main()
