"""Tasks of lm-evaluation-harness, run on a bundle."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nanoaccel.bundle import Bundle
from nanoaccel.errors import ConfigError, MissingExtraError
from nanoaccel.runtime.backends import Precision


def run_tasks(
    bundle: str | Path,
    tasks: Sequence[str],
    *,
    limit: int | None = None,
    num_fewshot: int | None = None,
    chat: bool = False,
    include: Path | None = None,
    precision: Precision = "f32",
    adapter: str | None = None,
    listener: Callable[[str], None],
) -> dict[str, Any]:
    """Let a bundle do tasks (Gao et al., "The Language Model Evaluation Harness").

    Args:
        bundle: A bundle's folder, or a plain folder that optimum-intel exported.
        tasks: Names of tasks, groups or tags, as ``lm-eval ls tasks`` lists them.
        limit: Documents of each task at most; None is all.
        num_fewshot: Solved examples before each question; None is what the task says.
        chat: Put questions through the model's chat template.
        include: A folder of further tasks.
        precision: As of ``LLM``.
        adapter: What the bundle runs with: the name of one of its adapters, or a folder.
        listener: Called with what is done.

    Returns:
        The harness's results, as it writes them to JSON.

    Raises:
        MissingExtraError: lm-eval is not installed.
        ConfigError: A task is unknown, or a number out of range.
        BundleError: The bundle is none, or damaged.
    """
    for name, value, least in (("limit", limit, 1), ("num_fewshot", num_fewshot, 0)):
        if value is not None and value < least:
            raise ConfigError(f"{name}={value} is out of range", f"It must be {least} or more")
    Bundle.open(bundle)  # before the seconds that the harness takes to load
    try:
        import lm_eval
        from lm_eval.tasks import TaskManager

        from nanoaccel.evaluation.harness import BundleLM
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"--tasks needs {error.name}, which is not installed",
            'Install it: pip install "nanoaccel[eval]"',
        ) from error
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    listener("looking for the tasks")
    manager = TaskManager(include_path=None if include is None else str(include))
    _check_names(tasks, manager.all_tasks)
    return lm_eval.simple_evaluate(  # type: ignore[no-any-return, unused-ignore]
        model=BundleLM(bundle, precision=precision, adapter=adapter, listener=_in_tenths(listener)),
        tasks=list(tasks),
        task_manager=manager,
        limit=limit,
        num_fewshot=num_fewshot,
        apply_chat_template=chat,
        log_samples=False,
    )


def results_table(results: dict[str, Any]) -> str:
    """The harness's own table of results, and of groups where there are some."""
    from lm_eval.utils import make_table

    tables = [make_table(results)]
    if results.get("groups"):
        tables.append(make_table(results, "groups"))
    return "\n".join(table.rstrip("\n") for table in tables)


def _in_tenths(listener: Callable[[str], None]) -> Callable[[str, float], None]:
    """Tells of each tenth of something that is done."""
    told: dict[str, int] = {}

    def tell(what: str, done: float) -> None:
        tenth = int(done * 10)
        if tenth != told.get(what):
            told[what] = tenth
            listener(f"{what}: {tenth * 10}%")

    return tell


def _check_names(tasks: Sequence[str], known: Sequence[str]) -> None:
    for name in tasks:
        if name not in known:
            raise ConfigError(
                f"task {name!r} is unknown",
                "List them: lm-eval ls tasks; your own are found with --include-path",
            )
