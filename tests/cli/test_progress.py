from __future__ import annotations

import io
import sys

import pytest

from nanoaccel.cli.ui.progress import stages, working
from nanoaccel.exporters.progress import StageEvent


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return stream


def test_working_prints_only_changes_without_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with working("loading") as change:
        change("run 1")
    assert capsys.readouterr().err == "run 1\n"


def test_working_spins_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _on_terminal(monkeypatch)
    with working("loading [b]x[/b]") as change:
        change("run 1")
    assert "run 1" in terminal.getvalue()


def test_stages_are_lines_without_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with stages() as listener:
        listener(StageEvent("trace", None, 0))
        listener(StageEvent("trace", 1.25, 1_500_000_000))
    assert capsys.readouterr().err == "trace ... 1.2 s     1.5 GB\n"


def test_stages_name_the_one_that_broke(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), stages() as listener:  # noqa: PT012
        listener(StageEvent("trace", None, 0))
        raise RuntimeError
    assert capsys.readouterr().err == "trace ... not finished\n"


def test_stages_write_to_the_stream_of_their_begin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with stages() as listener, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", io.StringIO())
        listener(StageEvent("trace", 1.0, 0))
    assert "1.0 s" in capsys.readouterr().err


def test_stages_spin_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _on_terminal(monkeypatch)
    with stages() as listener:
        listener(StageEvent("trace", None, 0))
        listener(StageEvent("trace", 1.25, 1_500_000_000))
    assert "trace" in terminal.getvalue()
    assert "1.2 s     1.5 GB" in terminal.getvalue()


def test_stages_are_one_write_each_without_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Log(io.StringIO):
        def __init__(self) -> None:
            super().__init__()
            self.writes: list[str] = []

        def write(self, text: str) -> int:
            self.writes.append(text)
            return super().write(text)

    log = Log()
    monkeypatch.setattr(sys, "stderr", log)
    with stages() as listener:
        for second in range(0, 600, 2):
            listener(StageEvent("tune", None, 0, second / 600, "statistics"))
        listener(StageEvent("tune", 600.0, 10**6))
        listener(StageEvent("trace", None, 0))
        listener(StageEvent("trace", 1.0, 10**6))
    assert log.writes == ["tune ... 600.0 s     1.0 MB\n", "trace ... 1.0 s     1.0 MB\n"]


def test_stages_foretell_the_time_that_is_left_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = _on_terminal(monkeypatch)
    with stages() as listener:
        listener(StageEvent("tune", None, 0))
        listener(StageEvent("tune", None, 0, 0.5, "statistics"))
    assert "tune: statistics 50%, 0 s left" in terminal.getvalue()
