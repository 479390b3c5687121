"""Clients that others wrote, in programs of their own, over real sockets.

Each program in programs/ asserts what it is answered by three servers: "letters" goes on the
alphabet, "json" is a random model over bytes, which can follow grammars, and "calls" says something
and calls a tool.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest
from support import fake_llms, grammar_llms, scripted_texts
from support.servers import serving

from nanoaccel import registry
from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.backends.fake import scripted
from nanoaccel.testing.engines import EOS, LETTERS, TEMPLATE, VOCAB_SIZE

PROGRAMS = Path(__file__).parent / "programs"
CLIENTS = {
    "use_huggingface_hub.py": "huggingface_hub",
    "use_langchain.py": "langchain_openai",
    "use_litellm.py": "litellm",
    "use_llm.py": "llm",
    "use_openai.py": "openai",
    "use_pydantic_ai.py": "pydantic_ai",
}
# No tables of prices, no traces, no address or key of whoever runs the tests.
OFFLINE = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LANGSMITH_TRACING": "false",
    "OPENAI_API_KEY": "any",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
SAYS = (
    'I look.\n<tool_call>\n{"name": "Weather", "arguments": {"city": "Bern", "days": 3}}\n'
    "</tool_call>"
)
NOT_PASSED_ON = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "LANGCHAIN_TRACING_V2")


def next_letter(tokens: Sequence[int]) -> int:
    """The alphabet goes on, ends after ``z``, and begins after what is no letter."""
    z = LETTERS.index("z")
    return EOS if tokens[-1] == z else (tokens[-1] + 1 if tokens[-1] < z else 0)


def load(options: BackendOptions) -> fake_llms.WatchedBackend:
    """The backend of each bundle."""
    if options.graph.parent.name == "calls":
        return scripted_texts.Speaker(options, SAYS)
    if options.graph.parent.name == "json":
        return grammar_llms.JsonBackend(options)
    backend = fake_llms.WatchedBackend(options)
    backend.rule = scripted(VOCAB_SIZE, next_letter)
    return backend


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The addresses of the three servers."""
    folder = tmp_path_factory.mktemp("clients")
    letters = fake_llms.write_bundle(folder / "letters")
    random = grammar_llms.write_bundle(folder / "json")
    (random / "chat_template.jinja").write_text(TEMPLATE)
    calls = scripted_texts.write_speaker(folder / "calls")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as servers:
        patch.setattr(registry.BACKENDS, "resolve", lambda _: load)
        yield [
            servers.enter_context(serving(bundle, tool_parser="hermes")).url
            for bundle in (letters, random, calls)
        ]


def test_every_program_is_known() -> None:
    assert {path.name for path in PROGRAMS.glob("*.py")} == set(CLIENTS)


@pytest.mark.parametrize("program", CLIENTS)
def test_client_is_answered(program: str, urls: list[str]) -> None:
    if find_spec(CLIENTS[program]) is None:
        pytest.skip(f"{CLIENTS[program]} is not installed (extra: clients)")
    environment = {name: text for name, text in os.environ.items() if name not in NOT_PASSED_ON}
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / program), *urls],
        env={**environment, **OFFLINE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
