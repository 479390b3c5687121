from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nanoaccel import SamplingParams
from nanoaccel.cli.ui.writing import complete

AFTER_HI = "abcdefghijklmnopqrstuvwxyz"  # the chat template ends the message with a full stop


def test_generate_wraps_the_prompt_as_message(letters: Path, run_cli: Any) -> None:
    ended = run_cli("generate", letters, "hi")
    assert (ended.code, ended.out) == (0, AFTER_HI + "\n")
    assert ended.err.startswith("27 tokens, ")
    assert "first token after" in ended.err


def test_generate_raw_continues_the_prompt(letters: Path, run_cli: Any) -> None:
    ended = run_cli("generate", letters, "abc", "--raw", "--max-tokens", 3)
    assert (ended.code, ended.out) == (0, "def\n")
    assert "stopped by --max-tokens" in ended.err


def test_generate_without_chat_template_continues_the_prompt(letters: Path, run_cli: Any) -> None:
    (letters / "chat_template.jinja").unlink()
    assert run_cli("generate", letters, "wx").out == "yz\n"
    ended = run_cli("generate", letters, "wx", "--system", "be brief")
    assert ended.code == 2
    assert "--system needs a chat template" in ended.err


def test_generate_puts_the_system_message_first(letters: Path, run_cli: Any) -> None:
    ended = run_cli("generate", letters, "hi", "--system", "brief", "--json")
    assert json.loads(ended.out)["usage"]["prompt_tokens"] == len("brief.hi.")


@pytest.mark.parametrize("arguments", [["-"], []])
def test_generate_reads_standard_input(arguments: list[str], letters: Path, run_cli: Any) -> None:
    ended = run_cli("generate", letters, *arguments, "--raw", "--stop", "j", stdin=b"abc\n")
    assert (ended.code, ended.out) == (0, "defghi\n")


def test_generate_reads_a_file(letters: Path, tmp_path: Path, run_cli: Any) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text("xy\n")
    assert run_cli("generate", letters, "--raw", "--file", file).out == "z\n"


def test_generate_streams_when_told(
    letters: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes = []
    monkeypatch.setattr(sys.stdout, "flush", lambda: flushes.append(1), raising=False)
    ended = run_cli("generate", letters, "wxyz\n", "--raw", "--stream", "--max-tokens", 3)
    assert (ended.code, ended.out) == (0, "abc\n")
    assert len(flushes) >= 3


def test_generate_prints_the_whole_when_told(letters: Path, run_cli: Any) -> None:
    assert run_cli("generate", letters, "x", "--raw", "--no-stream").out == "yz\n"


def test_generate_json_has_all_of_the_completion(letters: Path, run_cli: Any) -> None:
    ended = run_cli("generate", letters, "x", "--raw", "--json", "--logprobs", 1)
    content = json.loads(ended.out)
    assert ended.err == ""
    assert (content["text"], content["finish_reason"]) == ("yz", "stop")
    assert content["usage"] == {"prompt_tokens": 1, "completion_tokens": 3}
    assert content["token_ids"][:2] == [24, 25]
    assert set(content["stats"]) == {
        "queued",
        "first_token",
        "total",
        "steps",
        "draft_steps",
        "drafted_tokens",
        "reached",
        "accepted",
        "saved",
        "accepted_tokens",
        "preemptions",
        "cached_tokens",
        "decode_tokens_per_second",
    }
    assert content["logprobs"][0]["token_id"] == 24
    assert content["logprobs"][0]["top"][0][0] == 24
    assert content["prompt_logprobs"] == []
    assert content["error"] is None
    assert "completions" not in content


def test_generate_scores_a_prompt(letters: Path, run_cli: Any) -> None:
    asked = ("--raw", "--json", "--prompt-logprobs", 1, "--max-tokens", 0)
    content = json.loads(run_cli("generate", letters, "xyz", *asked).out)
    first, *others = content["prompt_logprobs"]
    assert first is None
    assert [entry["token_id"] for entry in others] == [24, 25]
    assert [entry["top"][0][0] for entry in others] == [24, 25]
    assert (content["text"], content["finish_reason"]) == ("", "length")


def test_generate_json_lists_several_completions(letters: Path, run_cli: Any) -> None:
    ended = run_cli(
        *("generate", letters, "a", "--raw", "--json", "-n", 2, "--temperature", 0.01),
        *("--seed", 1, "--max-tokens", 2, "--max-running", 1),
    )
    content = json.loads(ended.out)
    assert [c["text"] for c in content["completions"]] == ["bc", "bc"]
    assert content["usage"] == {"prompt_tokens": 1, "completion_tokens": 4}


def test_generate_prints_several_completions_apart(letters: Path, run_cli: Any) -> None:
    ended = run_cli("generate", letters, "x", "--raw", "-n", 2, "--temperature", 0.01)
    assert ended.out == "--- 1 of 2 ---\nyz\n--- 2 of 2 ---\nyz\n"


def test_generate_finds_the_prompt_of_an_earlier_run(
    letters: Path, tmp_path: Path, run_cli: Any
) -> None:
    (letters / "openvino_model.bin").write_bytes(b"weights")
    prompt = ("generate", letters, "abcdefghij", "--raw", "--prompt-cache", tmp_path / "cache")
    first, second = run_cli(*prompt), run_cli(*prompt)
    assert first.out == second.out
    assert "from the cache" not in first.err
    assert ", 8 of 10 prompt tokens from the cache" in second.err  # whole blocks of 4
    assert json.loads(run_cli(*prompt, "--json").out)["stats"]["cached_tokens"] == 8


def test_generate_completions_share_their_prompt(letters: Path, run_cli: Any) -> None:
    command = ("generate", letters, "abcdefghij", "--raw", "--json", "-n", 2, "--temperature", 0.01)
    shared, apart = run_cli(*command), run_cli(*command, "--no-prefix-cache")
    assert [c["stats"]["cached_tokens"] for c in json.loads(shared.out)["completions"]] == [0, 8]
    assert [c["stats"]["cached_tokens"] for c in json.loads(apart.out)["completions"]] == [0, 0]


def test_generate_takes_any_number_of_completions(letters: Path, run_cli: Any) -> None:
    ended = run_cli(
        *("generate", letters, "x", "--raw", "--json", "-n", 1030, "--temperature", 0.01),
        *("--max-tokens", 1),
    )
    assert len(json.loads(ended.out)["completions"]) == 1030


def test_generate_keeps_some_tokens_only(letters: Path, alphabet: Any, run_cli: Any) -> None:
    seen: list[int] = []
    for length in range(1, 129):
        alphabet.on_length[length] = lambda length=length: seen.append(length)
    ended = run_cli(
        *("generate", letters, "a" * 90, "--raw", "--keep-tokens", 48, "--max-tokens", 30)
    )
    assert ended.code == 0
    assert 0 < max(seen) <= 48


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["hi", "--raw", "--system", "x"], "--system does not go with --raw"),
        (["hi", "--stream", "--json"], "--stream does not go with --json"),
        (["hi", "--stream", "-n", "2", "--temperature", "1"], "--stream does not go with -n 2"),
        (["hi", "--logprobs", "2"], "--logprobs"),
        (["hi", "--prompt-logprobs", "2"], "--prompt-logprobs"),
        (["hi", "--max-tokens", "-1"], "max_tokens=-1"),
        (["hi", "--temperature", "nan"], "temperature=nan"),
        (["hi", "--min-tokens", "9", "--max-tokens", "3"], "min_tokens=9"),
        (["hi", "--top-p", "0"], "top_p=0"),
        (["hi", "--stop", ""], "stop holds an empty string"),
        (["hi", "--logit-bias", "x"], "--logit-bias 'x'"),
        (["hi", "--kv-cache-memory", "x"], "--kv-cache-memory 'x'"),
        (["hi", "--threads", "0"], "threads=0"),
        (["hi", "--precision", "f8"], "precision='f8'"),
        (["hi", "--cache-precision", "u5"], "cache_precision='u5'"),
        (["hi", "--time-per-token", "0"], "time_per_token=0.0"),
        (["hi", "--prompt-cache-size", "x"], "--prompt-cache-size 'x'"),
        (["hi", "--prompt-cache", "x", "--no-prefix-cache"], "prompt_cache needs the prefix"),
        (["hi", "--eviction-policy", "lur"], "Did you mean 'lru'?"),
        (
            ["hi", "--keep-tokens", "0"],
            "--keep-tokens 0 --keep-by position: cache_eviction max_tokens=0",
        ),
        (["hi", "--keep-tokens", "8"], "leaves no room for the tokens that stay"),
        (["hi", "--keep-by", "score"], "--keep-by score has no meaning without --keep-tokens"),
        (
            ["hi", "--keep-tokens", "64", "--keep-by", "age"],
            "--keep-by age: cache_eviction by='age'",
        ),
        (["hi", "--backend", "openvin"], "Did you mean 'openvino'?"),
        ([""], "the prompt is empty"),
        ([], "the prompt is empty"),
        (["a" * 128, "--raw"], "the prompt has 128 tokens; 127 fit"),
        (["hi", "--file", "nowhere.txt"], "both given"),
        (["--file", "nowhere.txt"], "nowhere.txt cannot be read"),
    ],
)
def test_generate_refuses_in_one_line(
    arguments: list[str], told: str, letters: Path, run_cli: Any
) -> None:
    ended = run_cli("generate", letters, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert told in ended.err


@pytest.mark.parametrize("arguments", [[], ["--stream"]])
def test_generate_that_fails_on_the_way_ends_with_1(
    arguments: list[str], letters: Path, alphabet: Any, run_cli: Any
) -> None:
    def fail() -> None:
        raise RuntimeError("the graph broke")

    alphabet.on_length[5] = fail
    ended = run_cli("generate", letters, "abc", "--raw", *arguments)
    assert (ended.code, ended.out) == (1, "de\n")
    assert ended.err.splitlines()[-1] == "error: RuntimeError: the graph broke"


def test_generate_json_that_fails_on_the_way_says_so(
    letters: Path, alphabet: Any, run_cli: Any
) -> None:
    def fail() -> None:
        raise RuntimeError("the graph broke")

    alphabet.on_length[5] = fail
    ended = run_cli("generate", letters, "abc", "--raw", "--json")
    content = json.loads(ended.out)
    assert ended.code == 1
    assert (content["finish_reason"], content["error"]) == (
        "error",
        "RuntimeError: the graph broke",
    )


@pytest.mark.parametrize("echo", [False, True])
def test_complete_interrupted_shows_what_was_written(
    echo: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def stream(*_: object) -> Iterator[Iterator[Any]]:
        def chunks() -> Iterator[Any]:
            yield from (SimpleNamespace(index=0, text=text) for text in "ab")
            raise KeyboardInterrupt

        yield chunks()

    with pytest.raises(KeyboardInterrupt):
        complete(SimpleNamespace(stream=stream), "a", SamplingParams(), echo=echo)  # type: ignore[arg-type]
    assert capsys.readouterr().out == "ab\n"


def test_generate_interrupted_ends_the_line_and_gives_130(
    letters: Path, alphabet: Any, press_ctrl_c: Any, run_cli: Any
) -> None:
    alphabet.on_length[5] = press_ctrl_c
    ended = run_cli("generate", letters, "abc", "--raw", "--stream")
    assert ended.code == 130
    assert ended.out in ("d\n", "de\n", "def\n")
    assert ended.err == ""


def test_generate_into_a_closed_pipe_is_quiet(
    letters: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(_: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(sys.stdout, "write", write, raising=False)
    ended = run_cli("generate", letters, "abc", "--raw", "--stream")
    assert (ended.code, ended.err) == (0, "")
