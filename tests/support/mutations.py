"""Random damages to a good checkpoint: to its tensors, its files, its config, its tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from support.quantized_checkpoints import edit_tensors, split_in_shards

from nanoaccel.testing import tiny_models

Tensors: TypeAlias = dict[str, Any]
Mutation: TypeAlias = Callable[[Random, Path], object]

_SIZES = {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {**_SIZES, "tie_word_embeddings": False},
    "qwen2": {**_SIZES, "tie_word_embeddings": True},
    "gpt2": {"n_embd": 32, "n_layer": 2},
    "mistral": {**_SIZES, "head_dim": 8, "sliding_window": 8},
    "qwen3": {**_SIZES, "head_dim": 8},
}
_NUMBERS: tuple[Any, ...] = (0, 1, 2, 3, -1, 0.5, 7, None, "many", [], 1e9, True)
_STRINGS = ("silu", "gelu", "nonsense", "", "float16", "bfloat16", 3, None)


def write_model(folder: Path, kind: str) -> Path:
    """The good checkpoint of an architecture."""
    return tiny_models.write_model(folder, kind, **KINDS[kind])


def mutate(random: Random, folder: Path) -> str:
    """Damage a checkpoint once; says how."""
    mutation = random.choice(MUTATIONS)
    return f"{mutation.__name__}: {mutation(random, folder)}"


def _tensor(random: Random, folder: Path, change: Callable[[Tensors, str], object]) -> str:
    names: list[str] = []

    def edit(tensors: Tensors) -> None:
        names.append(random.choice(sorted(tensors)))
        change(tensors, names[0])

    edit_tensors(folder, edit)
    return names[0]


def drop_tensor(random: Random, folder: Path) -> str:
    return _tensor(random, folder, lambda t, n: t.pop(n))


def rename_tensor(random: Random, folder: Path) -> str:
    new = random.choice(("old.", "model.", "transformer.", "_orig_mod."))
    return _tensor(random, folder, lambda t, n: t.update({new + n: t.pop(n)}))


def copy_tensor(random: Random, folder: Path) -> str:
    more = random.choice(("_scale", ".bias", "_2", ".lora_A.weight"))
    return _tensor(random, folder, lambda t, n: t.update({n + more: t[n].clone()}))


def prefix_tensors(random: Random, folder: Path) -> str:
    prefix = random.choice(("_orig_mod.", "module.", "base_model.model.", "model.", "x"))
    edit_tensors(folder, lambda t: [t.update({prefix + n: t.pop(n)}) for n in list(t)])
    return prefix


def transpose_tensor(random: Random, folder: Path) -> str:
    return _tensor(
        random,
        folder,
        lambda t, n: t.update({n: t[n].permute(*reversed(range(t[n].ndim))).contiguous()}),
    )


def reshape_tensor(random: Random, folder: Path) -> str:
    return _tensor(random, folder, lambda t, n: t.update({n: t[n].reshape(1, -1)}))


def shorten_tensor(random: Random, folder: Path) -> str:
    rows = random.choice((0, 1, -1))
    return _tensor(random, folder, lambda t, n: t.update({n: t[n][:rows].clone()}))


def retype_tensor(random: Random, folder: Path) -> str:
    kind = random.choice(("int8", "uint8", "int64", "bool", "float16", "bfloat16", "float64"))

    def change(tensors: Tensors, name: str) -> None:
        import torch

        tensors[name] = tensors[name].to(getattr(torch, kind))

    return f"{kind} {_tensor(random, folder, change)}"


def scale_tensor(random: Random, folder: Path) -> str:
    factor = random.choice((0.0, -1.0, 1.5))
    return _tensor(random, folder, lambda t, n: t.update({n: t[n] * factor}))


def swap_layers(_: Random, folder: Path) -> None:
    edit_tensors(
        folder,
        lambda t: t.update({n.replace(".0.", ".1."): t[n].clone() for n in list(t) if ".0." in n}),
    )


def drop_layer(random: Random, folder: Path) -> str:
    layer = random.choice((".0.", ".1."))
    edit_tensors(folder, lambda t: [t.pop(n) for n in list(t) if layer in n])
    return layer


def add_layer(_: Random, folder: Path) -> None:
    edit_tensors(
        folder,
        lambda t: t.update({n.replace(".1.", ".2."): t[n].clone() for n in list(t) if ".1." in n}),
    )


def cut_file(random: Random, folder: Path) -> str:
    path = _a_file(random, folder)
    data = path.read_bytes()
    path.write_bytes(data[: random.randrange(len(data))])
    return path.name


def lengthen_file(random: Random, folder: Path) -> str:
    path = _a_file(random, folder)
    path.write_bytes(path.read_bytes() + b"}\0")
    return path.name


def delete_file(random: Random, folder: Path) -> str:
    path = _a_file(random, folder)
    path.unlink()
    return path.name


def flip_byte(random: Random, folder: Path) -> str:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    place = random.randrange(random.choice((8, 400, len(data))))
    data[place] ^= 1 << random.randrange(7)
    path.write_bytes(data)
    return str(place)


def lose_shard(random: Random, folder: Path) -> str:
    split_in_shards(folder)
    path = random.choice(sorted(folder.glob("model-*")))
    if random.random() < 0.5:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-4])
    return path.name


def change_index(random: Random, folder: Path) -> str:
    split_in_shards(folder)
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    name = random.choice(sorted(index["weight_map"]))
    value = random.choice(("model-00001-of-00002.safetensors", "model-3.safetensors", None, "DROP"))
    index["weight_map"][name] = value
    if value == "DROP":
        del index["weight_map"][name]
    path.write_text(json.dumps(index))
    return f"{name} {value}"


def change_number(random: Random, folder: Path) -> str:
    config = _config(folder)
    keys = [k for k, v in config.items() if isinstance(v, (int, float)) or v is None]
    key = random.choice(keys)
    config[key] = random.choice(_NUMBERS)
    _write(folder / "config.json", config)
    return f"{key} = {config[key]}"


def change_string(random: Random, folder: Path) -> str:
    config = _config(folder)
    key = random.choice([k for k, v in config.items() if isinstance(v, str)])
    config[key] = random.choice(_STRINGS)
    _write(folder / "config.json", config)
    return f"{key} = {config[key]}"


def drop_key(random: Random, folder: Path) -> str:
    config = _config(folder)
    key = random.choice(sorted(config))
    del config[key]
    _write(folder / "config.json", config)
    return key


def change_rotation(random: Random, folder: Path) -> str:
    rope = random.choice(
        (
            {"rope_type": "default", "rope_theta": 50.0},
            {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0},
            {"rope_type": "nonsense", "rope_theta": 1e4},
            {"rope_type": "linear", "rope_theta": 1e4},
            {"rope_type": "default", "rope_theta": "high"},
            [],
        )
    )
    key = random.choice(("rope_parameters", "rope_scaling"))
    _write(folder / "config.json", {**_config(folder), key: rope})
    return f"{key} = {rope}"


def add_key(random: Random, folder: Path) -> str:
    more: dict[str, Any] = random.choice(
        (
            {"auto_map": {"AutoModelForCausalLM": "modeling_own.Own"}},
            {"model_type": "own", "auto_map": {"AutoConfig": "configuration_own.Own"}},
            {"architectures": ["LlamaForSequenceClassification"]},
            {"quantization_config": {"quant_method": "gptq", "bits": 4}},
            {"quantization_config": {"quant_method": "fp8"}},
            {"transformers_weights": "other.safetensors"},
            {"tie_word_embeddings": random.random() < 0.5},
            {"attention_bias": True},
            {"mlp_bias": True},
            {"layer_types": ["full_attention"]},
            {"pruned_heads": {"0": [1]}},
            {"num_labels": 3},
        )
    )
    _write(folder / "config.json", {**_config(folder), **more})
    return str(more)


def other_model(random: Random, folder: Path) -> str:
    kind = random.choice(("llama", "mistral", "qwen2", "qwen3", "gpt2", "gemma", "phi3", "bert"))
    _write(folder / "config.json", {**_config(folder), "model_type": kind})
    return kind


def add_adapter(_: Random, folder: Path) -> None:
    _write(folder / "adapter_config.json", {"peft_type": "LORA"})


def lose_token(random: Random, folder: Path) -> str:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    name = random.choice(sorted(vocabulary))
    del vocabulary[name]
    _write(path, tokenizer)
    return name


def move_token(random: Random, folder: Path) -> str:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    name = random.choice(sorted(tokenizer["model"]["vocab"]))
    tokenizer["model"]["vocab"][name] = random.choice((0, 5, 383, 500, -1))
    _write(path, tokenizer)
    return name


def lose_merge(random: Random, folder: Path) -> str:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    merges = tokenizer["model"]["merges"]
    merge = merges.pop(random.randrange(len(merges)))
    _write(path, tokenizer)
    return str(merge)


def lose_special_token(random: Random, folder: Path) -> str:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    added = tokenizer["added_tokens"]
    token = added.pop(random.randrange(len(added)))
    _write(path, tokenizer)
    return str(token["content"])


def _a_file(random: Random, folder: Path) -> Path:
    return random.choice(sorted(path for path in folder.iterdir() if path.is_file()))


def _config(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


def _write(path: Path, found: dict[str, Any]) -> None:
    path.write_text(json.dumps(found))


MUTATIONS: tuple[Mutation, ...] = (
    drop_tensor,
    rename_tensor,
    copy_tensor,
    prefix_tensors,
    transpose_tensor,
    reshape_tensor,
    shorten_tensor,
    retype_tensor,
    scale_tensor,
    swap_layers,
    drop_layer,
    add_layer,
    cut_file,
    lengthen_file,
    delete_file,
    flip_byte,
    lose_shard,
    change_index,
    change_number,
    change_number,
    change_string,
    drop_key,
    change_rotation,
    add_key,
    other_model,
    add_adapter,
    lose_token,
    move_token,
    lose_merge,
    lose_special_token,
)
