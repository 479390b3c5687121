"""The tokenizer as OpenVINO graphs, which OpenVINO GenAI needs beside the model."""

from __future__ import annotations

from pathlib import Path

import openvino as ov

_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def write_genai_tokenizer(folder: Path, target: Path) -> bool:
    """Convert the tokenizer in ``folder`` and write the graphs to ``target``.

    NanoAccel does not use them; they let ``target`` open in OpenVINO GenAI.

    Returns:
        False, with nothing written, when openvino-tokenizers cannot convert it.
    """
    from openvino_tokenizers import convert_tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    try:
        encoder, decoder = convert_tokenizer(tokenizer, with_detokenizer=True)
    except Exception:  # it raises whatever its many steps raise
        return False
    ov.save_model(encoder, target / "openvino_tokenizer.xml")
    ov.save_model(decoder, target / "openvino_detokenizer.xml")
    for name in _FILES:
        if (folder / name).is_file():
            (target / name).write_bytes((folder / name).read_bytes())
    return True
