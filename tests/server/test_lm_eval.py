"""lm-evaluation-harness asks a server as it asks vLLM: log-probabilities of prompts, and texts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from support.servers import Served

lm_eval = pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install lm-eval")
lm_eval_tasks = pytest.importorskip("lm_eval.tasks")

DOCS = [
    {"text": "abc", "choices": ["de", "xy"], "right": 0},
    {"text": "kl", "choices": ["a", "m"], "right": 1},
    {"text": "pqr", "choices": ["s", "st", "a"], "right": 0},
]
CHOICES = """
task: letters_choices
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{text}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: right
target_delimiter: ""
metric_list: [{{metric: acc}}]
"""
ROLLING = """
task: letters_rolling
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list: [{{metric: byte_perplexity}}]
"""
WRITING = """
task: letters_writing
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{text}}}}"
doc_to_target: "{{{{choices[right]}}}}"
target_delimiter: ""
generation_kwargs: {{until: ["z"], max_gen_toks: 2}}
metric_list: [{{metric: exact_match}}]
"""


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three tasks over a few words."""
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "tasks"
    folder.mkdir()
    data = folder / "words.jsonl"
    data.write_text("".join(json.dumps(doc) + "\n" for doc in DOCS))
    for name, text in (("choices", CHOICES), ("rolling", ROLLING), ("writing", WRITING)):
        (folder / f"{name}.yaml").write_text(text.format(data=data))
    return folder


@pytest.mark.parametrize("tokenized", [True, False])
@pytest.mark.parametrize("batch", [1, 4])
def test_harness_judges_a_served_model(
    tokenized: bool, batch: int, served: Served, tasks: Path
) -> None:
    manager = lm_eval_tasks.TaskManager(include_path=str(tasks), include_defaults=False)
    results = lm_eval.simple_evaluate(
        model="local-completions",
        model_args={
            "model": "letters",
            "base_url": f"{served.url}/completions",
            "tokenizer_backend": "remote",
            "tokenized_requests": tokenized,
            "max_length": 64,
        },
        batch_size=batch,
        tasks=["letters_choices", "letters_rolling", "letters_writing"],
        task_manager=manager,
        bootstrap_iters=0,
    )["results"]
    assert results["letters_choices"]["acc,none"] == 1.0
    assert results["letters_writing"]["exact_match,none"] == pytest.approx(1 / 3)
    assert results["letters_rolling"]["byte_perplexity,none"] == pytest.approx(_perplexity())


def _perplexity() -> float:
    """Of the texts, each letter of which follows the one before but the first."""
    nll = letters = 0.0
    for doc in DOCS:
        text: Any = doc["text"]
        likely = -math.log(math.exp(10) / (math.exp(10) + 31))
        nll += likely * (len(text) - 1)
        nll += likely if text[0] == "a" else likely + 10  # "a" follows all but letters
        letters += len(text)
    return math.exp(nll / letters)
