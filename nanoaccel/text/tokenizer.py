"""A model's tokenizer, read from the files beside its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

import tokenizers  # type: ignore[import-untyped, unused-ignore]

from nanoaccel.errors import BundleDamagedError, BundleError, RequestError
from nanoaccel.text.chat_options import ChatOptions
from nanoaccel.text.chat_templates import ChatTemplates
from nanoaccel.text.detokenizer import Detokenizer, detokenizers_of, special_tokens
from nanoaccel.text.json_files import REMEDY, read_json
from nanoaccel.text.named_tokens import NamedTokens
from nanoaccel.text.output_text import OutputText
from nanoaccel.text.token_bound import TokenBound

# Characters from which the library is called so that other threads run meanwhile, which costs more.
_LONG = 1 << 12
# Sets of hidden tokens whose detokenizers stay known: none, all, all but a family's marks.
_KINDS = 8
_OWN_END = "<|nanoaccel-end-of-text|>"


class Tokenizer:
    """Text to token ids and back, and chats to token ids.

    It is what transformers' fast tokenizer (`PreTrainedTokenizerFast`) of the folder is: what
    tokenizer.json says, with the tokens that only its companions know. `add_bos_token` of
    tokenizer_config.json has no effect beside a tokenizer.json, as there. Neither has
    `clean_up_tokenization_spaces`, unlike there: it takes spaces out of what the model wrote.

    Attributes:
        vocab_size: Tokens, added ones included.
        bos_token: The token that starts a text; empty if there is none.
        eos_token: The token that ends a text; empty if there is none.
        bos_token_id: Id of `bos_token`, if it has one.
        eos_token_ids: The tokens that end generation.
    """

    __slots__ = (
        "_backend",
        "_bound",
        "_chat_templates",
        "_new_detokenizers",
        "_special",
        "bos_token",
        "bos_token_id",
        "eos_token",
        "eos_token_ids",
        "vocab_size",
    )

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        spellings: Mapping[str, str],
        eos_token_ids: frozenset[int],
        chat_templates: ChatTemplates,
    ) -> None:
        self._backend = backend
        self._bound: TokenBound | None = None
        self._chat_templates = chat_templates
        self._new_detokenizers = lru_cache(_KINDS)(partial(detokenizers_of, backend))
        self._special = special_tokens(backend)
        self.vocab_size: int = backend.get_vocab_size()
        self.bos_token = spellings.get("bos_token", "")
        self.eos_token = spellings.get("eos_token", "")
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
        config = read_json(folder / "tokenizer_config.json")
        named = NamedTokens(
            config,
            read_json(folder / "special_tokens_map.json"),
            read_json(folder / "added_tokens.json"),
        )
        try:
            named.add_to(backend)
        except (TypeError, ValueError) as error:
            raise BundleDamagedError(
                f"the added tokens beside {folder / 'tokenizer.json'} cannot be read: {error}",
                REMEDY,
            ) from error
        if config.get("split_special_tokens") is True:
            backend.encode_special_tokens = True
        templates = ChatTemplates.load(folder, config, named.spellings)
        return cls(backend, named.spellings, _eos_token_ids(folder), templates)

    @property
    def has_chat_template(self) -> bool:
        """Whether `encode_chat` can be called."""
        return self._chat_templates.has_default

    @property
    def chat_template_sources(self) -> tuple[str, ...]:
        """The templates of chats without tools and with, as far as there are any, in jinja2."""
        return self._chat_templates.sources

    @property
    def added_tokens(self) -> dict[str, int]:
        """Tokens that are taken out of a text as they are, by spelling, with their ids."""
        found = self._backend.get_added_tokens_decoder()
        return {token.content: number for number, token in found.items()}

    @property
    def special_tokens(self) -> dict[str, int]:
        """Tokens that a text is usually shown without, by spelling, with their ids."""
        return {name: number for name, number in self.added_tokens.items() if name in self._special}

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """The token ids of a text.

        Args:
            text: Any text; special tokens in it become their ids.
            add_special_tokens: Add what the model expects around a text, such as BOS.

        Raises:
            RequestError: The text holds a lone surrogate, which has no UTF-8.
        """
        try:
            if len(text) < _LONG:
                encoded = self._backend.encode(text, add_special_tokens=add_special_tokens)
            else:
                batch = self._backend.encode_batch_fast(
                    [text], add_special_tokens=add_special_tokens
                )
                encoded = batch[0]
            ids: list[int] = encoded.ids
        except TypeError:
            place = next((i for i, char in enumerate(text) if "\ud800" <= char <= "\udfff"), None)
            if place is None:
                raise
            raise RequestError(
                f"character {place} of the text is the lone surrogate U+{ord(text[place]):04X}",
                "Remove it, or read the text again with errors='replace'",
            ) from None
        return ids

    def encode_with_places(
        self, text: str, add_special_tokens: bool = True
    ) -> tuple[list[int], list[int]]:
        """The token ids of a text, and the character of the text at which each of them begins.

        Args:
            text: As of `encode`.
            add_special_tokens: As there; what is added stands at character 0.

        Raises:
            RequestError: As of `encode`.
        """
        try:
            encoded = self._backend.encode(text, add_special_tokens=add_special_tokens)
        except TypeError:
            self.encode(text)
            raise
        return encoded.ids, [begin for begin, _ in encoded.offsets]

    def fewest_tokens(self, text: str) -> int:
        """How many tokens a text has at least, those around it apart, without encoding it.

        It is 0 where the kind of tokenizer lets nothing be said.
        """
        if self._bound is None:
            self._bound = TokenBound(self._backend)
        return self._bound.of(text)

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """The text of token ids; ids that are no token are passed over."""
        text: str = self._backend.decode(ids, skip_special_tokens=skip_special_tokens)
        return text

    def vocabulary(self) -> dict[str, int]:
        """All tokens with their ids."""
        tokens: dict[str, int] = self._backend.get_vocab()
        return tokens

    def spelling(self, token_id: int) -> str | None:
        """A token as the vocabulary writes it; None for an id that is no token."""
        found: str | None = self._backend.id_to_token(token_id)
        return found

    def with_end(self) -> tuple[str, list[int]]:
        """tokenizer.json of a tokenizer that has a token for the end, and the ids of such tokens.

        Where this one has none, that is a token beyond its own.
        """
        ends = sorted(token for token in self.eos_token_ids if self.spelling(token) is not None)
        if ends:
            return self._backend.to_str(), ends
        longer = tokenizers.Tokenizer.from_str(self._backend.to_str())
        longer.add_special_tokens([_OWN_END])
        return longer.to_str(), [longer.get_vocab()[_OWN_END]]

    def detokenizer(
        self,
        prompt_ids: Sequence[int] = (),
        skip_special_tokens: bool = True,
        kept_special_tokens: Sequence[int] = (),
    ) -> Detokenizer:
        """A new detokenizer, for the output of one request.

        Args:
            prompt_ids: What stands before the output.
            skip_special_tokens: Leave special tokens out of the text.
            kept_special_tokens: Ids of those that it keeps nevertheless.
        """
        hidden = self._hidden(skip_special_tokens, kept_special_tokens)
        detokenizer = self._new_detokenizers(hidden)()
        detokenizer.follow(prompt_ids)
        return detokenizer

    def output_text(
        self,
        prompt_ids: Sequence[int],
        stops: Sequence[str],
        *,
        skip_special_tokens: bool,
        kept_special_tokens: Sequence[int] = (),
    ) -> OutputText:
        """What makes the text of one request.

        Args:
            prompt_ids: What stands before the output.
            stops: Strings that end the text.
            skip_special_tokens: Leave special tokens out of the text.
            kept_special_tokens: Ids of those that it keeps nevertheless.
        """
        hidden = self._hidden(skip_special_tokens, kept_special_tokens)
        detokenizer = self.detokenizer(prompt_ids, skip_special_tokens, kept_special_tokens)
        return OutputText(detokenizer, stops, partial(self._spelling_if_hidden, hidden))

    def encode_chat(
        self,
        messages: Sequence[Mapping[str, object]],
        add_generation_prompt: bool = True,
        *,
        options: ChatOptions | None = None,
    ) -> list[int]:
        """The token ids of a chat.

        Args:
            messages: The conversation, each message with a string `role`, and a `content` that is
                a string or a list of parts.
            add_generation_prompt: End with what starts the model's answer.
            options: Tools, documents and the like; they say also how the prompt ends.

        Raises:
            RequestError: The model has no chat template, or it refuses the messages.
            BundleError: The chat template cannot be parsed.
        """
        if options is None:
            options = ChatOptions(add_generation_prompt=add_generation_prompt)
        # A template writes its own BOS.
        return self.encode(self.render_chat(messages, options), add_special_tokens=False)

    def render_chat(self, messages: Sequence[Mapping[str, object]], options: ChatOptions) -> str:
        """The text of a chat, as the model's template writes it.

        Raises:
            RequestError: The model has no chat template, or it refuses the messages.
            BundleError: The chat template cannot be parsed.
        """
        return self._chat_templates.render(messages, options)

    def _hidden(self, skip_special_tokens: bool, kept: Sequence[int]) -> frozenset[str]:
        """Spellings of the tokens that a text leaves out."""
        if not skip_special_tokens:
            return frozenset()
        return self._special.difference(map(self.spelling, kept)) if kept else self._special

    def _spelling_if_hidden(self, hidden: frozenset[str], token_id: int) -> str:
        spelling = self.spelling(token_id)
        return spelling if spelling is not None and spelling in hidden else ""

    def _id_of(self, token: str) -> int | None:
        found: int | None = self._backend.token_to_id(token) if token else None
        return found


def _load_backend(path: Path) -> tokenizers.Tokenizer:
    if not path.parent.is_dir():
        raise BundleError(f"{path.parent} is not a folder", "Pass the folder of an exported model")
    if not path.is_file():
        raise BundleDamagedError(f"{path} is missing", REMEDY)
    try:
        backend = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # The library raises Exception itself.
        reason = " ".join(str(error).split())
        raise BundleDamagedError(f"{path} is not a tokenizer: {reason}", REMEDY) from error
    # How a text was batched in training is no part of the model.
    backend.no_truncation()
    backend.no_padding()
    return backend


def _eos_token_ids(folder: Path) -> frozenset[int]:
    for path in (folder / "generation_config.json", folder / "config.json"):
        value = read_json(path).get("eos_token_id")
        if value is None:
            continue
        ids = value if isinstance(value, list) else [value]
        if not all(type(token_id) is int for token_id in ids):
            raise BundleDamagedError(f"eos_token_id in {path} is {value!r:.80}", REMEDY)
        return frozenset(ids)
    return frozenset()
