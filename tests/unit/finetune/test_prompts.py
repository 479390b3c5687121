from __future__ import annotations

from random import Random

from nanoaccel.finetune.drafts.prompts import make_task

TEXTS = ["The tide comes in twice a day. " * 20]


def test_make_task_fills_in_all_that_a_prompt_leaves_open() -> None:
    source = Random(0)
    tasks = [make_task(source, TEXTS) for _ in range(2000)]
    assert not any("{" in task.text or "}" in task.text for task in tasks)
    assert len({task.text for task in tasks}) > 1500
    assert 0.02 < sum(not task.is_message for task in tasks) / len(tasks) < 0.1


def test_make_task_asks_about_texts_that_were_written() -> None:
    tasks = [make_task(Random(seed), TEXTS) for seed in range(300)]
    about = sum(TEXTS[0][:60] in task.text for task in tasks)
    assert 60 < about < 150
    assert not any(TEXTS[0][:60] in make_task(Random(seed), []).text for seed in range(300))
