"""Running the command line in this process and in processes of its own."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.paper import write_paper_bundle

import nanoaccel
from nanoaccel import registry
from nanoaccel.cli.main import main
from nanoaccel.cli.ui.writing import Line
from nanoaccel.runtime.backends.fake import FakeBackend, scripted
from nanoaccel.runtime.engine import assembly as loading
from nanoaccel.testing.engines import EOS, LETTERS, VOCAB_SIZE, letter_tokenizer

TEMPLATE = "{% for message in messages %}{{ message['content'] }}.{% endfor %}"


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


RunCli = Callable[..., Ended]


@pytest.fixture(autouse=True)
def uncalibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """No passes are run before those that a test asks for."""
    monkeypatch.setattr(loading, "measure_verification", lambda *_, **__: None)


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> RunCli:
    """Run a command in this process, with bytes on standard input."""

    def run(*arguments: object, stdin: bytes = b"") -> Ended:
        with io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8") as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


class Alphabet:
    """A model that goes on with the alphabet: ``b`` after ``a``, the end after ``z``.

    Attributes:
        on_length: What happens when that many tokens are known.
    """

    def __init__(self) -> None:
        self.on_length: dict[int, Callable[[], None]] = {}

    def next_token(self, tokens: Sequence[int]) -> int:
        self.on_length.get(len(tokens), lambda: None)()
        last = tokens[-1]
        if last == LETTERS.index("z"):
            return EOS
        return last + 1 if last < LETTERS.index("z") else 0


@pytest.fixture
def alphabet(monkeypatch: pytest.MonkeyPatch) -> Alphabet:
    """The model behind every bundle that is opened in this process."""
    model = Alphabet()

    def load(_: object) -> FakeBackend:
        return FakeBackend(scripted(VOCAB_SIZE, model.next_token), VOCAB_SIZE)

    real = registry.BACKENDS.resolve
    monkeypatch.setattr(
        registry.BACKENDS, "resolve", lambda name: load if name == "openvino" else real(name)
    )
    return model


@pytest.fixture
def press_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Press Ctrl-C once some text was shown; for ``Alphabet.on_length``."""
    shown = threading.Event()
    write = Line.write

    def note(line: Line, text: str) -> None:
        write(line, text)
        shown.set()

    def press() -> None:
        assert shown.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Line, "write", note)
    return press


@pytest.fixture
def letters(alphabet: Alphabet, tmp_path: Path) -> Path:  # noqa: ARG001 - its model is needed
    """A plain folder of the alphabet model: a token a letter, chat template, 128 tokens."""
    folder = tmp_path / "letters"
    folder.mkdir()
    letter_tokenizer(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    (folder / "openvino_model.xml").write_text("<net/>")
    (folder / "config.json").write_text('{"max_position_embeddings": 128}')
    return folder


@pytest.fixture
def paper_bundle(tmp_path: Path) -> Path:
    """A whole bundle whose graph is only bytes."""
    return write_paper_bundle(tmp_path / "paper")


def command_line(*arguments: object) -> list[str]:
    """How ``nanoaccel`` is started in a process of its own."""
    return [sys.executable, "-m", "nanoaccel", *map(str, arguments)]


def environment() -> dict[str, str]:
    """An environment in which the package under test is found."""
    root = str(Path(nanoaccel.__file__).parents[1])
    inherited = os.environ.get("PYTHONPATH")
    paths = [root] if inherited is None else [root, inherited]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1"}


@dataclass(frozen=True)
class Processes:
    """Starts commands in processes of their own."""

    command_line: Callable[..., list[str]]
    environment: dict[str, str]

    def run(self, *arguments: object, stdin: bytes = b"") -> Ended:
        """Run one to its end."""
        done = subprocess.run(
            self.command_line(*arguments),
            input=stdin,
            capture_output=True,
            env=self.environment,
            timeout=120,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def processes() -> Processes:
    """Real processes, as a shell would start them."""
    return Processes(command_line, environment())
