"""A model that writes what a test wants it to, byte by byte."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from support.fake_llms import WatchedBackend
from support.grammar_llms import EOS, write_bundle
from tokenizers import Tokenizer

from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.backends.fake import FakeBackend, scripted

_BEGIN = "<mark>"
TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n"
    "{% for call in message.tool_calls or [] %}{{ call.function.arguments | tojson }}\n"
    "{% endfor %}{% endfor %}" + _BEGIN
)


def write_speaker(folder: Path) -> Path:
    """A bundle with a chat template, whose answers begin behind a token of their own."""
    write_bundle(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


class Speaker(WatchedBackend):
    """Writes ``says``, then ends.

    Args:
        options: Where its tokenizer is.
        says: The text.
    """

    def __init__(self, options: BackendOptions, says: str) -> None:
        super().__init__(options)
        tokenizer = Tokenizer.from_file(str(options.graph.parent / "tokenizer.json"))
        words = tokenizer.encode(says).ids
        begin, end = tokenizer.token_to_id(_BEGIN), tokenizer.token_to_id(EOS)

        def next_token(tokens: Sequence[int]) -> int:
            written = list(reversed(tokens)).index(begin) if begin in tokens else len(words)
            return words[written] if written < len(words) else int(end)

        size = tokenizer.get_vocab_size()
        FakeBackend.__init__(self, scripted(size, next_token), size)
