"""Random models over bytes and pieces of JSON, on the fake backend."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

from support.fake_llms import WatchedBackend
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.backends.fake import FakeBackend, Rule, hashed
from nanoaccel.runtime.speculation.drafters import Draft
from nanoaccel.runtime.types.plan import Float32Array
from nanoaccel.testing.drafters import Guess

CONTEXT = 512
# Pieces that cross the borders of JSON's parts, so that a text can be spelled in several ways.
_MERGES = ["na", "name", '":', '",', '","', "true", "10", "ab", "abc", "éa", "}}", '{"', ":["]
# Ids of the model that its tokenizer does not have.
SPARE_IDS = 7
EOS = "<eos>"
JSON_BACKEND = "random_json"


def write_tokenizer(folder: Path, *, eos: bool = True, marks: Sequence[str] = ()) -> int:
    """Bytes and some longer pieces; gives the size of the vocabulary.

    Args:
        folder: Where it is written.
        eos: Whether it has a token that ends texts.
        marks: Further special tokens.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: number for number, character in enumerate(alphabet)}
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    merges: list[tuple[str, str]] = []
    for piece in _MERGES:
        letters = level.pre_tokenize_str(piece)[0][0]
        for end in range(2, len(letters) + 1):
            merge = (letters[: end - 1], letters[end - 1])
            if "".join(merge) not in vocabulary:
                vocabulary["".join(merge)] = len(vocabulary)
                merges.append(merge)
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    backend.pre_tokenizer = level
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<mark>", *marks])
    if eos:
        backend.add_special_tokens([EOS])
    backend.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": EOS} if eos else {}))
    return int(backend.get_vocab_size())


def write_bundle(folder: Path, *, eos: bool = True, marks: Sequence[str] = ()) -> Path:
    """A plain folder with that tokenizer and a context of 512 tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder, eos=eos, marks=marks)
    (folder / "openvino_model.xml").write_text("<net/>")
    (folder / "openvino_model.bin").write_bytes(b"")
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": CONTEXT}))
    return folder


def rule_of(folder: Path) -> tuple[Rule, int]:
    """Random logits that depend on the last tokens; what ends strings and lists is likelier.

    The second value is how many logits there are: some more than the tokenizer has tokens.
    """
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    size = tokenizer.get_vocab_size() + SPARE_IDS
    endings = [tokenizer.encode(text).ids[0] for text in ('"', "}", "]")]
    draw = hashed(size)

    def rule(tokens: Sequence[int]) -> Float32Array:
        row = draw(tokens[-6:])
        row[endings] += 6
        return row

    return rule, size


class JsonBackend(WatchedBackend):
    """Runs ``rule_of`` the folder."""

    def __init__(self, options: BackendOptions) -> None:
        super().__init__(options)
        rule, size = rule_of(options.graph.parent)
        FakeBackend.__init__(self, rule, size, attention_scores=options.attention_scores)


def guesses_of(folder: Path) -> Guess:
    """The likeliest token that a grammar without limits could have, again and again, or any."""
    rule, size = rule_of(folder)
    random = Random(1)

    def guess(draft: Draft) -> list[int]:
        text: list[int] = draft.tokens.tolist()
        for _ in range(min(4, draft.limit)):
            best = int(rule(text).argmax())
            text.append(best if random.random() < 0.8 else random.randrange(size))
        return text[len(draft.tokens) :]

    return guess
