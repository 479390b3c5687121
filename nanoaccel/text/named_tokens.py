"""Tokens that stand beside tokenizer.json: added ones, and those with a name such as `eos_token`.

The rules, and the order in which new tokens get their ids, are those of transformers' fast
tokenizers (`PreTrainedTokenizerBase._from_pretrained` and `TokenizersBackend.__init__`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import tokenizers  # type: ignore[import-untyped, unused-ignore]

# The names that every tokenizer may have; a config may have others that end in "_token".
_NAMES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


class NamedTokens:
    """What a tokenizer's files say of its tokens, apart from tokenizer.json.

    Args:
        config: tokenizer_config.json.
        legacy: special_tokens_map.json, which a config that lists its added tokens outdates.
        added: added_tokens.json, outdated in the same way.

    Attributes:
        spellings: Name to token, for chat templates; names without a token are left out.
    """

    def __init__(
        self, config: Mapping[str, Any], legacy: Mapping[str, Any], added: Mapping[str, Any]
    ) -> None:
        listed = config.get("added_tokens_decoder")
        if isinstance(listed, dict):
            legacy, added = {}, {}
        self._merged = {**config, **legacy}
        self._listed = listed if isinstance(listed, dict) else {}
        self._added = added
        self._extra = _extra_tokens(config, legacy)
        self._named = self._find_named()
        self.spellings = {name: token.content for name, token in self._named.items()}

    def add_to(self, backend: tokenizers.Tokenizer) -> None:
        """Make a tokenizer know all of them; new ones get the next ids."""
        named = self._named.values()
        spelled = {token.content for token in named}
        wanted = list(self._decoder(spelled | {token.content for token in self._extra}))
        for token in wanted:
            token.special = token.special or token.content in spelled
        known = {token.content for token in backend.get_added_tokens_decoder().values()}
        known.update(token.content for token in wanted)
        for token in (*named, *self._extra):
            if token.content not in known:
                known.add(token.content)
                token.special = True
                wanted.append(token)
        if wanted:
            backend.add_tokens(wanted)

    def _find_named(self) -> dict[str, tokenizers.AddedToken]:
        listed = {
            token.content: token
            for token in map(_token, self._listed.values())
            if token is not None
        }
        extra = self._merged.get("extra_special_tokens")
        others = [name for name in self._merged if name.endswith("_token")]
        values = {name: self._merged.get(name) for name in dict.fromkeys((*_NAMES, *others))}
        values |= extra if isinstance(extra, dict) else {}
        found = {name: _token(value) for name, value in values.items()}
        return {
            name: listed.get(token.content, token)
            for name, token in found.items()
            if token is not None
        }

    def _decoder(self, special: set[str]) -> Iterable[tokenizers.AddedToken]:
        """Tokens that are listed with their ids, in the order of these."""
        for _, value in sorted(self._listed.items(), key=lambda item: int(item[0])):
            token = _token(value)
            if token is not None:
                yield token
        for content in sorted(self._added, key=lambda content: int(self._added[content])):
            known = content in special
            yield tokenizers.AddedToken(content, normalized=not known, special=known)


def _extra_tokens(
    config: Mapping[str, Any], legacy: Mapping[str, Any]
) -> list[tokenizers.AddedToken]:
    """Special tokens without a name; the older key counts where the newer one is not used."""
    old, new = "additional_special_tokens", "extra_special_tokens"
    found = config.get(new) if isinstance(config.get(new), list) else config.get(old)
    values = found if isinstance(found, list) else []
    newer = legacy.get(new)
    if isinstance(newer, list):
        values = [*values, *newer]
    elif found is None and isinstance(legacy.get(old), list):
        values = legacy[old]
    return [token for token in map(_token, values) if token is not None]


def _token(value: object) -> tokenizers.AddedToken | None:
    """A token in one of the two forms that it has in JSON; None for anything else."""
    if isinstance(value, str):
        return tokenizers.AddedToken(value, special=True)
    if isinstance(value, dict) and isinstance(value.get("content"), str):
        flags = {name: value[name] for name in _FLAGS if isinstance(value.get(name), bool)}
        return tokenizers.AddedToken(value["content"], **flags)
    return None
