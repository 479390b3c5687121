"""A tokenizer's files, written so that the runtime's tokens are those of the model's own tokenizer.

transformers makes a tokenizer from many files: tokenizer.json, tokenizer_config.json, maps of
special and of added tokens, or a SentencePiece model. What it makes of them is written as one
complete tokenizer.json, and read again to see that both give the same tokens.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanoaccel.errors import SourceError
from nanoaccel.exporters.source.gguf import build_tokenizer
from nanoaccel.exporters.source.model_folder import read_json
from nanoaccel.text import Tokenizer

if TYPE_CHECKING:
    from nanoaccel.exporters.source.model_source import Source

_PROBES = (
    "Hello, world!",
    " two  spaces\tand\n\nlines \r\n ",
    "In 2024, 1234567 of 3.14 cost $1,000.50",
    "def f(x):\n    return {'a': x[0] ** 2}  # why?",
    "Gr\u00fc\u00dfe, d\u00e9j\u00e0 vu, \u041f\u0440\u0438\u0432\u0435\u0442",
    "\u0645\u0631\u062d\u0628\u0627 \u0939\u093f\u0928\u094d\u0926\u0940",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002 \u3053\u3093\u306b\u3061\u306f \ud55c\uad6d\uc5b4",
    "\U0001f44d\U0001f3fd e\u0301 \ufb01 \u00bd \u200b \ufffd",
    "it's don't I'M we'll . , ! ?",
    "",
)


def write_tokenizer(source: Source, folder: Path) -> tuple[int, ...]:
    """Put the tokenizer's files into a folder.

    A GGUF file's tokenizer is rebuilt from its own fields; every other is what transformers makes
    of the model's files.

    Returns:
        Tokens that end the text, where the tokenizer's source says so itself (GGUF does).

    Raises:
        SourceError: There is no tokenizer that can be used.
    """
    if source.gguf is not None:
        rebuilt = build_tokenizer(source.gguf)
        rebuilt.save(folder)
        return rebuilt.eos_token_ids
    _refuse_code(source)
    _refuse_shared_ids(source)
    tokenizer = _load(source)
    tokenizer.save_pretrained(folder)
    if not (folder / "tokenizer.json").is_file():
        raise SourceError(
            f"{source.id} has no fast tokenizer", "Add a tokenizer.json to its folder"
        )
    _copy_template(source, tokenizer, folder)
    _check_same(source, tokenizer, folder)
    return ()


def _refuse_code(source: Source) -> None:
    """Refuse a tokenizer that only code of the model's folder can make."""
    code = _config(source).get("auto_map")
    name = code.get("AutoTokenizer") if isinstance(code, dict) else code
    if name and not (source.folder / "tokenizer.json").is_file():
        code = next(part for part in (name if isinstance(name, list) else [name]) if part)
        raise SourceError(
            f"the tokenizer of {source.id} is code of its folder ({code}), which is never run",
            "Add a tokenizer.json to its folder",
        )


def _refuse_shared_ids(source: Source) -> None:
    """Refuse two tokens with one id: which of them the library keeps changes from load to load."""
    tokenizer = _read(source.folder / "tokenizer.json").get("model")
    vocabularies = {
        "tokenizer.json": tokenizer.get("vocab") if isinstance(tokenizer, dict) else None,
        "vocab.json": _read(source.folder / "vocab.json"),
    }
    for name, vocabulary in vocabularies.items():
        owners: dict[Any, str] = {}
        for token, index in vocabulary.items() if isinstance(vocabulary, dict) else ():
            other = owners.setdefault(repr(index), token)
            if other != token:
                raise SourceError(
                    f"{name} of {source.id} gives the tokens {other!r} and {token!r} "
                    f"the same id, {index}",
                    "Take the file of the model again",
                )


def _config(source: Source) -> Mapping[str, Any]:
    return _read(source.folder / "tokenizer_config.json")


def _read(path: Path) -> Mapping[str, Any]:
    return read_json(path) if path.is_file() else {}


def _load(source: Source) -> Any:
    """What transformers makes of the files.

    Its classes for single models build the tokenizer anew and take no more than the vocabulary
    from tokenizer.json; and it may pass over the class that a SentencePiece model names. Where one
    way loses text that the other keeps, the other is right.
    """
    import transformers

    if (source.folder / "tokenizer.json").is_file():
        other = transformers.PreTrainedTokenizerFast
    else:
        other = getattr(transformers, str(_config(source).get("tokenizer_class")), None)
    found: list[Any] = []
    failure: Exception | None = None
    for loader in (transformers.AutoTokenizer, other):
        try:
            if loader is not None:
                found.append(loader.from_pretrained(source.folder, trust_remote_code=False))
        except Exception as error:  # transformers raises nearly everything
            failure = failure or error
    fast = [tokenizer for tokenizer in found if hasattr(tokenizer, "backend_tokenizer")]
    if fast:
        return max(fast, key=_kept)
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    reason = "it is no fast tokenizer" if failure is None else type(failure).__name__
    raise SourceError(
        f"transformers cannot read the tokenizer of {source.id}: {lines[0] if lines else reason}",
        "Add a tokenizer.json to its folder, or install what the message names",
    ) from failure


def _kept(tokenizer: Any) -> int:
    """How many of the probes it gives back."""
    backend = tokenizer.backend_tokenizer
    found = (backend.encode(text, add_special_tokens=False).ids for text in _PROBES)
    texts = (backend.decode(ids, skip_special_tokens=False) for ids in found)
    pairs = zip(texts, _PROBES, strict=True)
    return sum(text.strip() == probe.strip() for text, probe in pairs)


def _copy_template(source: Source, tokenizer: Any, folder: Path) -> None:
    """Keep the template of a processor, which is no part of the tokenizer to transformers."""
    template = source.folder / "chat_template.json"
    if tokenizer.chat_template is None and template.is_file():
        shutil.copyfile(template, folder / template.name)


def _check_same(source: Source, tokenizer: Any, folder: Path) -> None:
    """Refuse a tokenizer whose files do not give its own tokens and texts again."""
    written = Tokenizer.load(folder)
    special = [token.content for token in tokenizer.added_tokens_decoder.values()]
    for text in (*_PROBES, *(f"a{token}b {token} c" for token in special)):
        for adds in (True, False):
            ids = tokenizer.encode(text, add_special_tokens=adds)
            found = written.encode(text, add_special_tokens=adds)
            if found != ids:
                raise _differs(source, f"makes {ids[:12]} of {text!r:.60}; its files, {found[:12]}")
            for skips in (True, False):
                whole = tokenizer.decode(
                    ids, skip_special_tokens=skips, clean_up_tokenization_spaces=False
                )
                if written.decode(ids, skip_special_tokens=skips) != whole:
                    raise _differs(source, f"reads {ids[:12]} as {whole!r:.60}; its files do not")
    for name in ("bos_token", "eos_token"):
        value = getattr(tokenizer, name)
        if getattr(written, name) != ("" if value is None else value):
            raise _differs(
                source, f"has the {name} {value!r}; its files, {getattr(written, name)!r}"
            )


def _differs(source: Source, what: str) -> SourceError:
    return SourceError(
        f"the tokenizer of {source.id} cannot be written as a tokenizer.json: it {what}",
        "Give its folder a tokenizer.json that transformers reads as it is",
    )
