"""A Llama of 1.1 billion random weights, to measure speed at the size of TinyLlama.

    python -m benchmarks.harness.random_llama OUT [--small]

OUT becomes a folder that can be exported; its tokenizer is the sample model's. Takes 2.5 GB; with
``--small`` there are 30 million weights, to try what does not depend on their number. The model
counts: the token after number n is number n + 1, whatever is rounded on the way.
"""

from __future__ import annotations

import argparse
from pathlib import Path

_LARGE = {
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
}
_SMALL = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def write_random_llama(out: Path, *, small: bool = False) -> Path:
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
        **(_SMALL if small else _LARGE),
        vocab_size=49152,
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    write_random_llama(given.out, small=given.small)
