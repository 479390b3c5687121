"""Bundles of a model that says what the last message of a chat says, as far as it may."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from support.fake_llms import WatchedBackend
from support.grammar_llms import EOS, SPARE_IDS, write_bundle
from tokenizers import Tokenizer

from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.backends.fake import FakeBackend, Rule, hashed
from nanoaccel.runtime.types.plan import Float32Array

# Each message stands behind a mark, as does the answer; the family is told in a comment.
_TEMPLATE = (
    "{{# {family} #}}{{%- for message in messages -%}}<mark>{{{{ message.content }}}}"
    "{{%- for call in message.tool_calls -%}}"
    "({{{{ call.function.name }}}} {{{{ call.function.arguments | tojson }}}})"
    "{{%- endfor -%}}{{%- endfor -%}}"
    "{{%- for tool in tools or () -%}}<tool>{{%- endfor -%}}<mark>{opening}"
)


def write_echo(folder: Path, family: str, marks: Sequence[str] = (), *, opening: str = "") -> Path:
    """A bundle.

    Args:
        folder: Where it is written.
        family: What its chat template holds, so that its family is found.
        marks: Special tokens.
        opening: What the template puts before an answer.
    """
    write_bundle(folder, marks=["<tool>", *marks])
    template = _TEMPLATE.format(family=family, opening=opening)
    (folder / "chat_template.jinja").write_text(template)
    return folder


def echo(folder: Path) -> Rule:
    """Likeliest is the next token of the last message, then the end; others are random."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    mark, tool, end = map(tokenizer.token_to_id, ("<mark>", "<tool>", EOS))
    draw = hashed(tokenizer.get_vocab_size() + SPARE_IDS)

    def rule(tokens: Sequence[int]) -> Float32Array:
        row = draw(tokens)
        places = [place for place, token in enumerate(tokens) if token == mark]
        if len(places) >= 2:
            said = [token for token in tokens[places[-2] + 1 : places[-1]] if token != tool]
            count = len(tokens) - places[-1] - 1
            row[said[count] if count < len(said) else end] += 40
        return row

    return rule


class EchoBackend(WatchedBackend):
    """Runs ``echo`` of the folder."""

    def __init__(self, options: BackendOptions) -> None:
        super().__init__(options)
        rule = echo(options.graph.parent)
        size = rule(np.zeros(1, np.int64)).size  # type: ignore[arg-type]
        FakeBackend.__init__(self, rule, size, attention_scores=options.attention_scores)
