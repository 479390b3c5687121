"""A Llama of 1.1 billion random weights, to measure speed at the size of TinyLlama.

    python -m benchmarks.harness.random_llama OUT

OUT becomes a folder that can be exported; its tokenizer is the sample model's. Takes 2.5 GB. It
counts: the token after number n is number n + 1, whatever is rounded on the way.
"""

from __future__ import annotations

import sys
from pathlib import Path


def write_random_llama(out: Path) -> Path:
    """Write the model, unless it is there."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from nanoaccel.exporters.source.model_source import resolve
    from nanoaccel.exporters.source.tokenizer_files import write_tokenizer

    if (out / "config.json").is_file():
        return out
    out.mkdir(parents=True)
    write_tokenizer(resolve("sample"), out)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=22,
        num_attention_heads=32,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    model = LlamaForCausalLM(config)
    with torch.no_grad():  # else all tokens are equally likely, and any rounding changes the text
        table = model.get_input_embeddings().weight.normal_(std=4.0)
        model.get_output_embeddings().weight.copy_(0.05 * table.roll(1, 0))
    model.save_pretrained(out)
    torch.set_default_dtype(torch.float32)
    return out


if __name__ == "__main__":
    write_random_llama(Path(sys.argv[1]))
