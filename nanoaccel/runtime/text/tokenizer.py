"""A model's tokenizer, read from the files beside its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers  # type: ignore[import-untyped, unused-ignore]

from nanoaccel.errors import BundleDamagedError, BundleError, RequestError
from nanoaccel.runtime.text.chat_template import ChatTemplate
from nanoaccel.runtime.text.detokenizer import Detokenizer, detokenizers_of

# The names under which transformers keeps special tokens, and passes them to chat templates.
_SPECIAL_TOKENS = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
_REMEDY = "Export the model again, or copy the file from the original model"


class Tokenizer:
    """Text to token ids and back, and chats to token ids.

    What tokenizer.json says decides, as in transformers' fast tokenizers: `add_bos_token` and
    `clean_up_tokenization_spaces` of tokenizer_config.json have no effect.

    Attributes:
        vocab_size: Tokens, added ones included.
        bos_token: The token that starts a text; empty if there is none.
        eos_token: The token that ends a text; empty if there is none.
        bos_token_id: Id of `bos_token`, if it has one.
        eos_token_ids: The tokens that end generation.
    """

    __slots__ = (
        "_backend",
        "_chat_template",
        "_new_detokenizer",
        "bos_token",
        "bos_token_id",
        "eos_token",
        "eos_token_ids",
        "vocab_size",
    )

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        special_tokens: Mapping[str, str],
        eos_token_ids: frozenset[int],
        chat_template: ChatTemplate | None,
    ) -> None:
        self._backend = backend
        self._chat_template = chat_template
        self._new_detokenizer = detokenizers_of(backend)
        self.vocab_size: int = backend.get_vocab_size()
        self.bos_token = special_tokens.get("bos_token", "")
        self.eos_token = special_tokens.get("eos_token", "")
        self.bos_token_id = self._id_of(self.bos_token)
        eos_token_id = self._id_of(self.eos_token)
        own = frozenset[int]() if eos_token_id is None else frozenset({eos_token_id})
        self.eos_token_ids = eos_token_ids | own

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Read tokenizer.json and, where they stand beside it, its companions.

        Raises:
            BundleError: There is no such folder.
            BundleDamagedError: tokenizer.json is missing, or a file cannot be read.
        """
        backend = _load_backend(folder / "tokenizer.json")
        config = _read_json(folder / "tokenizer_config.json")
        special_tokens = _special_tokens(config, _read_json(folder / "special_tokens_map.json"))
        return cls(
            backend,
            special_tokens,
            _eos_token_ids(folder),
            _load_chat_template(folder, config, special_tokens),
        )

    @property
    def has_chat_template(self) -> bool:
        """Whether `encode_chat` can be called."""
        return self._chat_template is not None

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """The token ids of a text.

        Args:
            text: Any text; special tokens in it become their ids.
            add_special_tokens: Add what the model expects around a text, such as BOS.

        Raises:
            RequestError: The text holds a lone surrogate, which has no UTF-8.
        """
        try:
            ids: list[int] = self._backend.encode(text, add_special_tokens=add_special_tokens).ids
        except TypeError:
            place = next((i for i, char in enumerate(text) if "\ud800" <= char <= "\udfff"), None)
            if place is None:
                raise
            raise RequestError(
                f"character {place} of the text is the lone surrogate U+{ord(text[place]):04X}",
                "Remove it, or read the text again with errors='replace'",
            ) from None
        return ids

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """The text of token ids; ids that are no token are passed over."""
        text: str = self._backend.decode(ids, skip_special_tokens=skip_special_tokens)
        return text

    def vocabulary(self) -> dict[str, int]:
        """All tokens with their ids."""
        tokens: dict[str, int] = self._backend.get_vocab()
        return tokens

    def detokenizer(self) -> Detokenizer:
        """A new detokenizer, for the output of one request."""
        return self._new_detokenizer()

    def encode_chat(
        self, messages: Sequence[Mapping[str, object]], add_generation_prompt: bool = True
    ) -> list[int]:
        """The token ids of a chat.

        Args:
            messages: The conversation, each message with a string `role` and `content`.
            add_generation_prompt: End with what starts the model's answer.

        Raises:
            RequestError: The model has no chat template, or it refuses the messages.
            BundleError: The chat template cannot be parsed.
        """
        if self._chat_template is None:
            raise RequestError(
                "the model has no chat template", "Pass the prompt as text instead of messages"
            )
        prompt = self._chat_template.render(messages, add_generation_prompt)
        # A template writes its own BOS.
        return self.encode(prompt, add_special_tokens=False)

    def _id_of(self, token: str) -> int | None:
        found: int | None = self._backend.token_to_id(token) if token else None
        return found


def _load_backend(path: Path) -> tokenizers.Tokenizer:
    if not path.parent.is_dir():
        raise BundleError(f"{path.parent} is not a folder", "Pass the folder of an exported model")
    if not path.is_file():
        raise BundleDamagedError(f"{path} is missing", _REMEDY)
    try:
        backend = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # The library raises Exception itself.
        reason = " ".join(str(error).split())
        raise BundleDamagedError(f"{path} is not a tokenizer: {reason}", _REMEDY) from error
    # How a text was batched in training is no part of the model.
    backend.no_truncation()
    backend.no_padding()
    return backend


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty if there is no file."""
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleDamagedError(f"{path} cannot be read as JSON: {error}", _REMEDY) from error
    if not isinstance(value, dict):
        raise BundleDamagedError(f"{path} holds a {type(value).__name__}, no object", _REMEDY)
    return value


def _special_tokens(config: dict[str, Any], legacy: dict[str, Any]) -> dict[str, str]:
    """Named special tokens, from tokenizer_config.json and special_tokens_map.json.

    As in transformers, a config that lists its added tokens is newer than the map and decides.
    """
    merged = legacy | config if "added_tokens_decoder" in config else config | legacy
    tokens = {}
    for name in _SPECIAL_TOKENS:
        value = merged.get(name)
        if isinstance(value, dict):
            value = value.get("content")
        if isinstance(value, str):
            tokens[name] = value
    return tokens


def _eos_token_ids(folder: Path) -> frozenset[int]:
    for path in (folder / "generation_config.json", folder / "config.json"):
        value = _read_json(path).get("eos_token_id")
        if value is None:
            continue
        ids = value if isinstance(value, list) else [value]
        if not all(type(token_id) is int for token_id in ids):
            raise BundleDamagedError(f"eos_token_id in {path} is {value!r:.80}", _REMEDY)
        return frozenset(ids)
    return frozenset()


def _load_chat_template(
    folder: Path, config: dict[str, Any], special_tokens: Mapping[str, str]
) -> ChatTemplate | None:
    path = folder / "chat_template.jinja"
    if path.exists():
        try:
            source: object = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise BundleDamagedError(f"{path} cannot be read: {error}", _REMEDY) from error
    elif config.get("chat_template") is not None:
        path, source = folder / "tokenizer_config.json", config["chat_template"]
    else:
        path = folder / "chat_template.json"
        source = _read_json(path).get("chat_template")
    if isinstance(source, list):
        named = {part.get("name"): part.get("template") for part in source if type(part) is dict}
        source = named.get("default")
    if source is None:
        return None
    if not isinstance(source, str):
        raise BundleDamagedError(f"chat_template in {path} is {source!r:.80}", _REMEDY)
    return ChatTemplate(source, special_tokens, origin=path.name)
