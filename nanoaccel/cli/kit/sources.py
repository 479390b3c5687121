"""The module of a new plugin, by kind; ``$CLASS`` and ``$NAME`` are put in."""

from __future__ import annotations

DRAFTER = '''\
"""A drafter: proposes how a text goes on; the model verifies it, so no text changes for it."""

from __future__ import annotations

from collections.abc import Sequence

from nanoaccel.runtime.speculation.drafters import Draft, DrafterContext, DrafterOptions
from nanoaccel.runtime.types.plan import Int64Array


class $CLASS:
    """Drafts the last token once more. Write your own rule into ``propose``."""

    name = "$NAME"
    is_free = True
    priors = (0.2,)  # how often a draft token of each confidence is right, to begin with

    def __init__(self, options: DrafterOptions) -> None:
        self.vocab_size = options.vocab_size

    @staticmethod
    def applies(context: DrafterContext) -> bool:
        """Whether it takes part when no drafter is named."""
        return True

    def propose(self, drafts: Sequence[Draft]) -> None:
        """Add tokens to each draft, until ``add`` says that it is long enough."""
        for draft in drafts:
            token = int(draft.tokens[-1])
            while draft.add(token, 0):
                pass

    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:
        """Forget a request."""

    def close(self) -> None:
        """Free what is held."""
'''

EVICTION_POLICY = '''\
"""An eviction policy: what cached blocks are worth; the lowest go first."""

from __future__ import annotations


class $CLASS:
    """Least frequently used, with ageing. Write your own measure into ``priority``."""

    def __init__(self) -> None:
        self._clock = 0.0

    def priority(self, uses: int, depth: int) -> float:
        """What a block is worth that so many sequences used, at the end of so many tokens."""
        return self._clock + uses

    def evicted(self, priority: float) -> None:
        """Age: newcomers are worth more than what has gone."""
        self._clock = max(self._clock, priority)
'''

LOGITS_PROCESSOR = '''\
"""A logits processor: changes the logits of requests that ask for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.sampling.plugged import ProcessorOptions


class $CLASS:
    """Adds a ``bias`` to the logit of a ``token``."""

    def __init__(self, options: ProcessorOptions) -> None:
        self._token = options.values.get("token", 0)
        self._bias = options.values.get("bias", -1.0)
        if not isinstance(self._token, int) or not 0 <= self._token < options.vocab_size:
            raise ValueError(f"token={self._token!r} is no token of this model")

    def apply(self, row: NDArray[np.float32], position: int) -> None:
        """Change a row f32[V] in place; ``position`` tokens were generated before."""
        row[self._token] += self._bias

    def accept(self, token_id: int) -> None:
        """Note a token of the output."""

    def copy(self) -> $CLASS:
        """A processor in the same state: itself, as it has none."""
        return self
'''

EVENT_LISTENER = '''\
"""An event listener: hears of all requests, for metrics and logs."""

from __future__ import annotations

from nanoaccel import Event


class $CLASS:
    """Counts what happens. It is called in the engine's thread, so it must be quick."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        """Take an event."""
        self.counts[event.kind] = self.counts.get(event.kind, 0) + 1
'''

COMMAND = '''\
"""A command of the program: nanoaccel $NAME."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def $FUNCTION(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    prompt: Annotated[str, typer.Option(help="What to continue.")] = "Once upon a time",
) -> None:
    """Continue a prompt."""
    from nanoaccel import LLM, SamplingParams

    with LLM(bundle) as llm:
        typer.echo(llm.generate(prompt, SamplingParams(max_tokens=32)).text)
'''

GRAMMAR = '''\
"""A kind of grammar: what a text must look like, written in a form that llguidance reads."""

from __future__ import annotations

import re

from nanoaccel.runtime.sampling.grammar import Translation


class $CLASS:
    """One of some words. Write your own notation into ``translate``."""

    title = "list of words"

    def translate(self, source: str) -> Translation:
        """Write "yes, no" as a regular expression; "json_schema" and "lark" are forms too."""
        words = [word.strip() for word in source.split(",")]
        if not all(word.isidentifier() for word in words):
            raise ValueError("it is no list of words with commas between them")
        return Translation("regex", "|".join(map(re.escape, words)))
'''

CONTRACT_TEST = '''\
"""The contract of its kind, run over the plugin."""

from __future__ import annotations

import pytest
from $MODULE import $TARGET

from nanoaccel.testing.contracts.$KIND import $SUITE  # noqa: F401


@pytest.fixture(scope="module")
def subject() -> object:
    return $TARGET
'''

LISTENER_TEST = """\
from __future__ import annotations

from $MODULE import $CLASS

from nanoaccel import Event


def test_listener_counts_events() -> None:
    listener = $CLASS()
    listener(Event("started", 1))
    listener(Event("started", 2))
    assert listener.counts == {"started": 2}
"""

COMMAND_TEST = """\
from __future__ import annotations

from pathlib import Path

import pytest
from $MODULE import $FUNCTION

from nanoaccel import NanoAccelError


def test_command_names_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(NanoAccelError, match="no bundle|not a bundle|holds no"):
        $FUNCTION(tmp_path)
"""

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "$PACKAGE"
version = "0.1.0"
description = "A plugin of NanoAccel"
readme = "README.md"
requires-python = ">=3.10"
dependencies = ["nanoaccel>=0.1"]

[project.optional-dependencies]
test = ["nanoaccel[$EXTRAS]"]

[project.entry-points."$GROUP"]
$NAME = "$MODULE:$TARGET"$ENTRIES

[tool.hatch.build.targets.wheel]
packages = ["src/$MODULE"]

[tool.pytest.ini_options]
pythonpath = ["src"]
"""

README = """\
# $PACKAGE

A plugin of NanoAccel: $NOUN `$NAME`.

```sh
pip install -e ".[test]"
pytest
nanoaccel plugins
```

$USE
"""
