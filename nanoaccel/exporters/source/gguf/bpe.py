"""The byte-level BPE family: `tokenizer.ggml.model` = "gpt2"."""

import re
from collections.abc import Container, Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from nanoaccel.exporters.source.gguf.pretokenizers import Pretokenizer


def byte_level_bpe(
    tokens: Sequence[str], merges: Sequence[str], splitting: Pretokenizer, whole: Iterable[str]
) -> Tokenizer:
    """A tokenizer over the bytes of UTF-8, each spelled as a printable character.

    Args:
        tokens: Spelling of each id.
        merges: "left right" pairs, the first to be merged first.
        splitting: How text is cut before merging.
        whole: Tokens spelled as plain text, matched in a prompt before anything else.

    Raises:
        ValueError: A merge needs or makes a token that is not in `tokens`.
    """
    vocabulary = {token: index for index, token in enumerate(tokens)}
    try:
        model = models.BPE(
            vocab=vocabulary, merges=_pairs(merges), ignore_merges=splitting.ignore_merges
        )
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(str(error)) from error
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in splitting.patterns),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            *_dropped(vocabulary),
        ]
    )
    tokenizer.decoder = decoders.Sequence([*_respelled(whole), decoders.ByteLevel()])
    return tokenizer


def _dropped(vocabulary: Container[str]) -> list[pre_tokenizers.PreTokenizer]:
    """A step that drops the bytes without a token, if there are any, before merging.

    The model would drop them as well, but merge what stood on either side.
    """
    missing = sorted(byte for byte in pre_tokenizers.ByteLevel.alphabet() if byte not in vocabulary)
    if not missing:
        return []
    return [pre_tokenizers.Split(Regex(f"[{''.join(map(re.escape, missing))}]"), "removed")]


def _pairs(merges: Sequence[str]) -> list[tuple[str, str]]:
    """Each pair once, at its first rank. A pair is cut at the first space after its start."""
    pairs: dict[tuple[str, str], None] = {}
    for merge in merges:
        cut = merge.find(" ", 1)
        if cut > 0:
            pairs.setdefault((merge[:cut], merge[cut + 1 :]))
    return list(pairs)


def _respelled(whole: Iterable[str]) -> list[decoders.Decoder]:
    """Steps that spell plain-text tokens as bytes where the decoder would misread them.

    A token "ø" of plain text looks like the byte 0xF8 to the byte-level decoder.
    """
    decoder = decoders.ByteLevel()
    encoder = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return [
        decoders.Replace(Regex(rf"\A{re.escape(token)}\z"), encoder.pre_tokenize_str(token)[0][0])
        for token in whole
        if decoder.decode([token]) != token
    ]
