"""Tiny random models and their tokenizer, made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCAB_SIZE = 384
CONTEXT = 4096
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_TEXT = [
    "The tide comes in twice a day, and the keeper of the light writes it down.",
    "def add(a, b):\n    return a + b",
    "One two three four five six seven eight nine ten.",
]


def write_tokenizer(folder: Path) -> None:
    """A byte-level BPE tokenizer with ChatML's special tokens, in Hugging Face's files."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXT, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    wrapped.save_pretrained(folder)


def sizes(**more: Any) -> dict[str, Any]:
    """Sizes of a tiny model, as most configurations name them, and more."""
    return {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.3,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 0,
        **more,
    }


CONFIGS: dict[str, dict[str, Any]] = {
    "llama": sizes(),
    "mistral": sizes(head_dim=16, sliding_window=None),
    "qwen2": sizes(),
    "qwen3": sizes(head_dim=32),
    "gemma2": sizes(
        head_dim=16, sliding_window=64, query_pre_attn_scalar=16, attn_logit_softcapping=None
    ),
    "gemma3_text": sizes(head_dim=16, sliding_window=64, query_pre_attn_scalar=16),
    "phi3": sizes(),
    "granite": sizes(attention_multiplier=0.06, logits_scaling=2.0, residual_multiplier=0.5),
    "olmo": sizes(),
    "olmo2": sizes(),
    "gpt2": {
        "vocab_size": VOCAB_SIZE,
        "n_embd": 64,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": CONTEXT,
        "initializer_range": 0.3,
        "bos_token_id": 0,
        "eos_token_id": 2,
    },
    "smollm3": sizes(),
    "mixtral": sizes(head_dim=16, num_local_experts=4, sliding_window=None),
    "qwen3_moe": sizes(
        head_dim=16,
        num_experts=6,
        num_experts_per_tok=3,
        moe_intermediate_size=32,
        norm_topk_prob=True,
    ),
    "gpt_oss": sizes(
        head_dim=16,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=64,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4},
    ),
}

# A phi3 whose texts of more than 64 tokens have rotary factors of their own.
BORDER = 64
LONGROPE: dict[str, Any] = {
    "num_key_value_heads": 4,
    "original_max_position_embeddings": BORDER,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0 + 0.1 * place for place in range(8)],
        "long_factor": [1.0 + 3 * place for place in range(8)],
        "original_max_position_embeddings": BORDER,
        "factor": 64.0,
    },
}


def make_model(kind: str, seed: int = 0, **more: Any) -> Any:
    """A random torch model of an architecture, in f32."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind, **{**CONFIGS[kind], **more})
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 1:  # biases start at 0 and norms at 1, and would test nothing
                weight.add_(0.1 * torch.randn_like(weight))
    return model


def write_bundle(folder: Path, runtime: str = "auto") -> Path:
    """A bundle of a tiny random Llama, in f32.

    Args:
        folder: Where it is written.
        runtime: As for ``export``.
    """
    from nanoaccel.exporters.pipeline import export
    from nanoaccel.exporters.quantize.recipe import Recipe

    model = write_model(folder.parent / f"{folder.name}-model")
    export(model, folder, recipe=Recipe(weights="f32"), runtime=runtime)
    return folder


def write_model(folder: Path, kind: str = "llama", **more: Any) -> Path:
    """A whole Hugging Face folder: config, weights, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    make_model(kind, **more).save_pretrained(folder)
    write_tokenizer(folder)
    return folder
