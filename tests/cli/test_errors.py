from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest
import typer

from nanoaccel.cli.errors import guard
from nanoaccel.cli.streams import prepare_streams
from nanoaccel.errors import BundleError, SamplingError


def _raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (BundleError("x is no bundle", "Make one"), 1, "error: x is no bundle. Make one\n"),
        (SamplingError("top_p=0", "Set 1"), 2, "error: top_p=0. Set 1\n"),
        (BundleError("two\n  lines"), 1, "error: two lines\n"),
        (
            RuntimeError("deep\ninside"),
            1,
            "error: RuntimeError: deep inside; run again with --debug for a traceback\n",
        ),
        (
            MemoryError(),
            1,
            "error: out of memory. Close other programs, or lower --kv-cache-memory\n",
        ),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 0, ""),
        (typer.Exit(3), 3, ""),
    ],
)
def test_guard_gives_code_and_one_line(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guard(_raising(error), debug=False) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", line)


def test_guard_gives_zero_for_a_command_that_ends() -> None:
    assert guard(lambda: None, debug=False) == 0


def test_guard_prints_a_traceback_for_debug(capsys: pytest.CaptureFixture[str]) -> None:
    assert guard(_raising(ValueError("odd")), debug=True) == 1
    assert capsys.readouterr().err.startswith("Traceback")


def test_guard_takes_the_exit_of_a_library_on_a_closed_pipe_as_success() -> None:
    def command() -> None:
        try:
            raise BrokenPipeError
        except BrokenPipeError:
            raise SystemExit(1)  # noqa: B904 - so does rich

    assert guard(command, debug=False) == 0


def test_guard_lets_other_exits_through() -> None:
    with pytest.raises(SystemExit):
        guard(_raising(SystemExit(5)), debug=False)


def test_guard_takes_the_text_of_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert guard(_raising(typer.BadParameter("not a number")), debug=False) == 2
    err = capsys.readouterr().err
    assert err == "error: Invalid value: not a number. See nanoaccel --help\n"


def test_prepare_streams_replaces_closed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    prepare_streams()
    with sys.stdout as out, sys.stderr as err:
        assert out.writable()
        assert err.writable()


def test_prepare_streams_replaces_what_the_encoding_cannot_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    prepare_streams()
    sys.stdout.write("né")
    sys.stdout.flush()
    assert written.getvalue() == b"n?"
