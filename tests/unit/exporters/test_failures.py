from __future__ import annotations

import pytest

from nanoaccel.errors import ExportError, UnsupportedModelError
from nanoaccel.exporters.failures import named_failures, reason_of
from nanoaccel.exporters.progress import Progress


def test_failure_of_a_stage_names_the_stage_and_the_model() -> None:
    progress = Progress(lambda _: None)
    progress.model_type = "lfm2"
    with (
        pytest.raises(ExportError, match=r"^'lfm2' .*'run the original' .*KeyError: 'la\.x'\. Run"),
        named_failures(progress),
        progress.stage("run the original"),
    ):
        raise KeyError("la.x")


def test_failure_of_many_lines_becomes_one() -> None:
    progress = Progress(lambda _: None)
    with pytest.raises(ExportError) as caught, named_failures(progress):
        raise RuntimeError("\n  Check failed\n  at node.cpp:3")
    assert "RuntimeError: Check failed" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_reason_is_not_a_place_in_the_sources_of_a_library() -> None:
    text = "Exception from src/request.cpp:224:\nException from src/node.cpp:7:\n[CPU] Add 'x'"
    assert reason_of(RuntimeError(text)) == "RuntimeError: [CPU] Add 'x'"
    assert reason_of(RuntimeError()) == "RuntimeError"


@pytest.mark.parametrize(
    "error", [UnsupportedModelError("'x' is none", "Take y"), PermissionError("denied")]
)
def test_failure_that_explains_itself_stays(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, named_failures(Progress(lambda _: None)):
        raise error
    assert caught.value is error
