"""A model's tokens as the library takes them: a text never becomes a special token.

Where a grammar leaves one way to go on, the library has the tokenizer write it. Tokenizers take
special tokens out of any text, so that a JSON string with ``<|im_end|>`` would have the end of the
answer in it. Here such a text is cut within the spelling of each special token, and its parts are
written.
"""

from __future__ import annotations

import re
from typing import Any

from nanoaccel.runtime.sampling.grammar.library import llguidance
from nanoaccel.text import Tokenizer


def library_tokenizer(tokenizer: Tokenizer) -> Any:
    """The library's tokenizer of a model.

    Raises:
        ValueError: The tokens are neither bytes nor pieces of UTF-8.
        MissingExtraError: llguidance is not installed.
    """
    text, eos_ids = tokenizer.with_end()
    made = llguidance().LLTokenizer
    plain = made(text, eos_token=eos_ids, slices=[])
    return made(_TextTokens(plain, tokenizer.added_tokens), eos_token=eos_ids)


class _TextTokens:
    """Writes texts without special tokens; has what the library asks of a tokenizer.

    Args:
        plain: The library's tokenizer, which takes special tokens out of texts.
        added: Tokens that it takes out, by spelling.
    """

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, plain: Any, added: dict[str, int]) -> None:
        ids = range(plain.vocab_size)
        self._plain = plain
        self.eos_token_id: int = plain.eos_tokens[0]
        self.tokens: list[bytes] = [plain.decode_bytes([token]) for token in ids]
        self.special_token_ids = [token for token in ids if plain.is_special_token(token)]
        special = set(self.special_token_ids)
        cuts = [
            f"(?<={re.escape(spelling[0])})(?={re.escape(spelling[1:])})"
            for spelling, token in added.items()
            if token in special and len(spelling) > 1
        ]
        self._cut = re.compile("|".join(cuts) if cuts else "(?!)")

    def __call__(self, text: str) -> list[int]:
        """The tokens of a text."""
        return [token for part in self._cut.split(text) for token in self._plain.tokenize_str(part)]
