"""The SentencePiece BPE family: `tokenizer.ggml.model` = "llama"."""

from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, normalizers

_SPACE = "\u2581"


def sentencepiece_bpe(
    tokens: Sequence[str], scores: Sequence[float], unknown: str | None, *, space_prefix: bool
) -> Tokenizer:
    """A tokenizer that merges the neighbours which together make the token of highest score.

    What is no token is spelled in byte tokens. Of equal scores llama.cpp merges the leftmost
    pair; here the longer token comes first, which is the same for runs of spaces, where equal
    scores are common.

    Args:
        tokens: Spelling of each id; U+2581 stands for a space.
        scores: Score of each id.
        unknown: The token for what even bytes cannot spell.
        space_prefix: Put a space before each stretch of text between special tokens.
    """
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=_merges(vocabulary, scores),
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    spaces = normalizers.Replace(" ", _SPACE)
    steps = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if space_prefix:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(_SPACE), spaces])
        steps.append(decoders.Strip(" ", 1, 0))
    else:
        tokenizer.normalizer = spaces
    tokenizer.decoder = decoders.Sequence(steps)
    return tokenizer


def _merges(vocabulary: dict[str, int], scores: Sequence[float]) -> list[tuple[str, str]]:
    """Every pair of tokens that makes a token, the one to be merged first at the front."""
    ranked = sorted(vocabulary, key=lambda token: (-scores[vocabulary[token]], -len(token)))
    return [
        (token[:cut], token[cut:])
        for token in ranked
        for cut in range(len(token) - 1, 0, -1)
        if token[:cut] in vocabulary and token[cut:] in vocabulary
    ]
