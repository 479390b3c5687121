"""A `tokenizers.Tokenizer` from the fields of a GGUF file.

Ids follow llama.cpp's `llama_tokenize`. Its `add_special` is `add_special_tokens` here, and its
`parse_special=False` is `tokenizer.encode_special_tokens = True`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, processors

from nanoaccel.errors import GGUFError
from nanoaccel.exporters.source.gguf.bpe import byte_level_bpe
from nanoaccel.exporters.source.gguf.metadata import GGUFMetadata
from nanoaccel.exporters.source.gguf.pretokenizers import find_pretokenizer
from nanoaccel.exporters.source.gguf.spm import sentencepiece_bpe

_PASS_ORIGINAL = "Pass the folder of the original tokenizer, or export the original checkpoint"

# Ends of turns and fill-in-the-middle markers are control tokens to llama.cpp, whatever the file
# says of them.
_CONTROL_SPELLINGS = """
<|eot_id|> <|eom_id|> <|im_end|> <|end|> <|return|> <|call|> <|flush|> <|calls|> <end_of_turn>
<|endoftext|> <|end_of_text|> <end_of_utterance> </s> <EOT> _<EOT> [EOT] [EOS] <eos> <turn|>
<|tool_response> <\uff5cend\u2581of\u2581sentence\uff5c> [e~[
<|fim_prefix|> <fim-prefix> <fim_prefix> <\uff5cfim\u2581begin\uff5c> <PRE> \u2581<PRE>
<|fim_suffix|> <fim-suffix> <fim_suffix> <\uff5cfim\u2581hole\uff5c> <SUF> \u2581<SUF>
<|fim_middle|> <fim-middle> <fim_middle> <\uff5cfim\u2581end\uff5c> <MID> \u2581<MID>
<|code_prefix|> <|code_suffix|> <|code_middle|> <|prefix|> <|suffix|> <|middle|>
<|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD] <|fim_repo|> <|repo_name|> <fim-repo> <REPO>
<reponame> <|file_sep|>
"""
_ALWAYS_CONTROL = frozenset(_CONTROL_SPELLINGS.split())


class _TokenType(IntEnum):
    """Values of `tokenizer.ggml.token_type` that set a token apart from ordinary ones."""

    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4


@dataclass(frozen=True, slots=True)
class GGUFTokenizer:
    """A tokenizer, and what goes with it.

    Attributes:
        tokenizer: Text to ids and back.
        bos_token: Spelling of the token that starts a text; None if the file names none, or names
            one that is not matched as a whole in text. So are eos_token, unk_token, pad_token.
        eos_token_ids: Tokens that end generation: end of sequence, of turn, of message.
        add_bos: `encode` puts BOS first.
        add_eos: `encode` puts EOS last.
        chat_template: The Jinja template, if the file has one.
        context_length: The longest text the model is made for, in tokens.
        named_templates: Further Jinja templates, by name.
    """

    tokenizer: Tokenizer
    bos_token: str | None
    eos_token: str | None
    unk_token: str | None
    pad_token: str | None
    eos_token_ids: tuple[int, ...]
    add_bos: bool
    add_eos: bool
    chat_template: str | None
    context_length: int | None
    named_templates: Mapping[str, str] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, tokenizer_config.json and, if any, the chat templates."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(str(folder / "tokenizer.json"))
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": self.bos_token,
            "eos_token": self.eos_token,
            "unk_token": self.unk_token,
            "pad_token": self.pad_token,
            "clean_up_tokenization_spaces": False,
            "model_max_length": self.context_length,
        }
        # transformers rebuilds BOS and EOS from these flags, for which it needs the spellings;
        # without the flags it keeps what tokenizer.json says.
        if not (self.add_bos and self.bos_token is None):
            config["add_bos_token"] = self.add_bos
        if not (self.add_eos and self.eos_token is None):
            config["add_eos_token"] = self.add_eos
        known = {key: value for key, value in config.items() if value is not None}
        text = json.dumps(known, ensure_ascii=False, indent=2) + "\n"
        (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
        if self.chat_template is not None:
            (folder / "chat_template.jinja").write_text(self.chat_template, encoding="utf-8")
        for name, template in self.named_templates.items():
            named = folder / "additional_chat_templates" / f"{name}.jinja"
            named.parent.mkdir(exist_ok=True)
            named.write_text(template, encoding="utf-8")


def build_tokenizer(metadata: GGUFMetadata) -> GGUFTokenizer:
    """Rebuild the tokenizer that a GGUF file describes.

    Raises:
        GGUFError: A field is missing or contradicts another, or the tokenizer is of a kind that
            cannot be rebuilt.
    """
    model = metadata.require("tokenizer.ggml.model", str)
    if model not in ("gpt2", "llama"):
        raise GGUFError(
            f"{metadata.path} has a tokenizer of kind '{model}'; known are gpt2 and llama",
            _PASS_ORIGINAL,
        )
    sentencepiece = model == "llama"
    tokens = _tokens(metadata)
    added = _added_tokens(metadata, tokens)
    bos = _token_id(metadata, "bos", tokens, default=1 if sentencepiece else None)
    eos = _token_id(metadata, "eos", tokens, default=2 if sentencepiece else None)
    unk = _token_id(metadata, "unknown", tokens, default=0 if sentencepiece else None)
    pad = _token_id(metadata, "padding", tokens)
    ends = (eos, _token_id(metadata, "eot", tokens), _token_id(metadata, "eom", tokens))

    if sentencepiece:
        tokenizer = _sentencepiece(metadata, tokens, unk)
        default_bos = True
    else:
        tokenizer, default_bos = _byte_level(metadata, tokens, added)
    tokenizer.add_tokens(list(added.values()))
    add_bos = _flag(metadata, "add_bos_token", default=default_bos)
    add_eos = _flag(metadata, "add_eos_token", default=False)
    _frame(metadata, tokenizer, {"bos": bos} if add_bos else {}, {"eos": eos} if add_eos else {})

    def spelling(index: int | None) -> str | None:
        return tokens[index] if index is not None and tokens[index] in added else None

    return GGUFTokenizer(
        tokenizer=tokenizer,
        bos_token=spelling(bos),
        eos_token=spelling(eos),
        unk_token=spelling(unk),
        pad_token=spelling(pad),
        eos_token_ids=tuple(dict.fromkeys(end for end in ends if end is not None)),
        add_bos=add_bos,
        add_eos=add_eos,
        chat_template=metadata.find("tokenizer.chat_template", str),
        context_length=metadata.find(f"{metadata.architecture}.context_length", int),
        named_templates=_named_templates(metadata),
    )


def _named_templates(metadata: GGUFMetadata) -> dict[str, str]:
    """The templates beside the default one, by names that can be names of files."""
    start = "tokenizer.chat_template."
    names = [key.removeprefix(start) for key in metadata.fields if key.startswith(start)]
    for name in names:
        if not name.replace("-", "_").isidentifier():
            raise GGUFError(
                f"{metadata.path} has {start}{name}, which cannot be the name of a file",
                _PASS_ORIGINAL,
            )
    return {name: metadata.require(f"{start}{name}", str) for name in names}


def _byte_level(
    metadata: GGUFMetadata, tokens: Sequence[str], added: dict[str, AddedToken]
) -> tuple[Tokenizer, bool]:
    """The tokenizer, and whether its kind puts BOS first by default."""
    name = metadata.find("tokenizer.ggml.pre", str)
    splitting = find_pretokenizer("default" if name is None else name)
    merges = metadata.require_array("tokenizer.ggml.merges", str)
    try:
        return byte_level_bpe(tokens, merges, splitting, added), splitting.add_bos
    except ValueError as error:
        raise _contradiction(metadata, f"its merges do not fit its tokens: {error}") from error


def _sentencepiece(metadata: GGUFMetadata, tokens: Sequence[str], unk: int | None) -> Tokenizer:
    scores = metadata.require_array("tokenizer.ggml.scores", float)
    if len(scores) != len(tokens) or len(set(scores)) == 1:
        raise _contradiction(metadata, f"its {len(scores)} scores do not rank its tokens")
    return sentencepiece_bpe(
        tokens,
        scores,
        None if unk is None else tokens[unk],
        space_prefix=_flag(metadata, "add_space_prefix", default=True),
    )


def _tokens(metadata: GGUFMetadata) -> tuple[str, ...]:
    """Spelling of each id. llama.cpp names empty tokens as is done here."""
    tokens = tuple(
        token if token else f"[EMPTY_{index}]"
        for index, token in enumerate(metadata.require_array("tokenizer.ggml.tokens", str))
    )
    if not tokens or len(set(tokens)) != len(tokens):
        doubles = len(tokens) - len(set(tokens))
        raise _contradiction(metadata, f"of its {len(tokens)} tokens {doubles} are doubles")
    return tokens


def _added_tokens(metadata: GGUFMetadata, tokens: Sequence[str]) -> dict[str, AddedToken]:
    """The tokens that are matched in text as a whole, by their spelling."""
    types = metadata.find_array("tokenizer.ggml.token_type", int)
    if types is None:
        types = (0,) * len(tokens)
    if len(types) != len(tokens):
        raise _contradiction(metadata, f"it has {len(tokens)} tokens, but {len(types)} token types")
    # Phi-3 drops the white space behind its markers. The file does not say so, but its name does.
    name = metadata.find("general.name", str)
    phi3 = name is not None and any(mark in name.lower() for mark in ("phi-3", "phi3"))
    added = {}
    for token, kind in zip(tokens, types, strict=True):
        special = kind in (_TokenType.CONTROL, _TokenType.UNKNOWN) or token in _ALWAYS_CONTROL
        if special or kind == _TokenType.USER_DEFINED:
            rstrip = phi3 and token not in ("<unk>", "<s>", "<|endoftext|>")
            added[token] = AddedToken(token, special=special, normalized=False, rstrip=rstrip)
    return added


def _token_id(
    metadata: GGUFMetadata, name: str, tokens: Sequence[str], default: int | None = None
) -> int | None:
    """The id that the file gives for `name`; like llama.cpp, an impossible one is no id at all."""
    index = metadata.find(f"tokenizer.ggml.{name}_token_id", int)
    if index is None or not 0 <= index < len(tokens):
        index = default
    return index if index is not None and index < len(tokens) else None


def _flag(metadata: GGUFMetadata, name: str, *, default: bool) -> bool:
    value = metadata.find(f"tokenizer.ggml.{name}", bool)
    return default if value is None else value


def _frame(
    metadata: GGUFMetadata,
    tokenizer: Tokenizer,
    first: dict[str, int | None],
    last: dict[str, int | None],
) -> None:
    """Make `encode` put the `first` token before a text, and the `last` one behind it."""
    frame = {}
    for name, index in (first | last).items():
        if index is None:
            raise _contradiction(metadata, f"it asks for {name.upper()}, but names no such token")
        frame[name] = index
    if frame:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[*first, "$A", *last],
            special_tokens=[
                {"id": name, "ids": [index], "tokens": [tokenizer.id_to_token(index)]}
                for name, index in frame.items()
            ],
        )


def _contradiction(metadata: GGUFMetadata, problem: str) -> GGUFError:
    return GGUFError(f"The tokenizer of {metadata.path} is unusable: {problem}", _PASS_ORIGINAL)
