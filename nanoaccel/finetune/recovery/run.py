"""The recovery, stage by stage: from a bundle to the same bundle, closer to its original."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.bundle import MANIFEST, Bundle
from nanoaccel.bundle.known import note_made
from nanoaccel.calibration.metrics import Fidelity
from nanoaccel.errors import ConfigError
from nanoaccel.exporters.convert.bundle_parts import manifest_of, open_whole
from nanoaccel.exporters.failures import named_failures
from nanoaccel.exporters.progress import Listener, Progress
from nanoaccel.exporters.publish import check_free, check_space
from nanoaccel.finetune.interrupt import interruptible
from nanoaccel.finetune.recovery.options import RecoveryOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy import int64
    from numpy.typing import NDArray

    from nanoaccel.finetune.recovery.graphs.stored_graph import StoredGraph
    from nanoaccel.finetune.recovery.original import LoadedOriginal
    from nanoaccel.finetune.recovery.publish import Learned

Clock = Callable[[], float]

_RESERVE = 1.5  # times of one judgement, for each that is left
_CHECKS = 5.0  # seconds for what else comes after the learning


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What a recovery did.

    Args:
        bundle: The bundle, opened.
        before: Fidelity of its first graph to the original.
        after: The same of what was made.
        learned: What was learned.
        text: What it was learned from.
        expected_memory: Bytes that it should take.
    """

    bundle: Bundle
    before: Fidelity
    after: Fidelity
    learned: Learned
    text: str
    expected_memory: int


def recover(
    bundle: str | Path,
    out: str | Path | None = None,
    *,
    options: RecoveryOptions | None = None,
    overwrite: bool = False,
    listener: Listener | None = None,
    clock: Clock = time.monotonic,
) -> Recovered:
    """Let a bundle's 4-bit matrices learn from the model that it was made from.

    Scales and zero points change, and nothing else does: the bundle is as large and as fast
    as before, and its draft goes on guessing. Ctrl-C ends the learning early; what was learned
    until then is judged as usual.

    Args:
        bundle: Its folder.
        out: Folder of the bundle that is made; None puts it in the place of the first one.
        options: How it is recovered.
        overwrite: Whether a bundle that stands at ``out`` is replaced.
        listener: Told of each stage.
        clock: Gives the time that is counted, in seconds.

    Raises:
        BundleError: It is no bundle, or damaged.
        SourceError: Its original is not here, or has other weights by now.
        UnsupportedModelError: It stores nothing in 4-bit integers, or has parts that are not known.
        ConfigError: The text or the time does not fit.
        ExportError: It does not fit into memory or on the disk, or what was learned is no better.
            Nothing was changed then.
    """
    options = RecoveryOptions() if options is None else options
    deadline = clock() + options.minutes * 60
    progress = Progress((lambda _: None) if listener is None else listener)
    opened = open_whole(str(bundle))
    target = opened.folder.resolve() if out is None else Path(out).expanduser().absolute()
    overwrite = overwrite or out is None
    check_free(target, overwrite, (MANIFEST,))
    check_space(target.parent, sum(entry.size for entry in manifest_of(opened).files))
    options = options.within(opened.context_length)
    with named_failures(progress):
        made = _recover(opened, target, options, progress, (deadline, clock), overwrite=overwrite)
    note_made(target)
    return made


def _recover(
    bundle: Bundle,
    target: Path,
    options: RecoveryOptions,
    progress: Progress,
    timing: tuple[float, Clock],
    *,
    overwrite: bool,
) -> Recovered:
    from nanoaccel.finetune.recovery.judging import judge, open_graphs
    from nanoaccel.finetune.recovery.learning.student import rows_of
    from nanoaccel.finetune.recovery.original import load_original
    from nanoaccel.finetune.recovery.publish import Recovery

    deadline, clock = timing
    original = load_original(bundle, manifest_of(bundle), options, progress)
    graphs = open_graphs(bundle, rows_of(original.model))
    teaching, reference, probes = original.texts(bundle, options, progress)
    began = clock()
    before = judge(graphs[0], reference, progress, "before")
    left = deadline - clock() - _CHECKS - _RESERVE * (clock() - began) * len(graphs)
    if left <= 0:
        raise ConfigError(
            f"minutes={options.minutes:g} leave no time to learn: all else takes "
            f"{options.minutes - left / 60:.1f}",
            "Give it more --minutes",
        )
    windows, seed = teaching.samples, options.text.seed
    learned = _learn(original, graphs[0], windows, seed, left, progress, clock)
    recovery = Recovery(bundle, graphs, reference, probes, before, teaching.name, original.memory)
    after = recovery.publish(target, learned, progress, overwrite=overwrite)
    return Recovered(
        bundle=Bundle.open(target),
        before=before,
        after=after,
        learned=learned,
        text=teaching.name,
        expected_memory=original.memory,
    )


def _learn(
    original: LoadedOriginal,
    graph: StoredGraph,
    windows: Sequence[NDArray[int64]],
    seed: int,
    seconds: float,
    progress: Progress,
    clock: Clock,
) -> Learned:
    """Learn for so long; Ctrl-C ends it early."""
    from nanoaccel.finetune.recovery.learning.learner import Learner, Rates
    from nanoaccel.finetune.recovery.learning.student import Student
    from nanoaccel.finetune.recovery.publish import Learned

    began = clock()
    teacher, copied = original.split()
    student = Student(copied, graph)
    student.check(graph, teacher, windows[0])
    graph.unload()
    learner = Learner(student, teacher, windows, Rates(), seed)
    with progress.stage("learn") as tell, interruptible() as stopped:
        left = seconds - (clock() - began)
        learner.run(left, stopped, lambda done: tell(done.share), clock)
    return Learned(
        matrices=student.stored(),
        tokens=learner.tokens,
        numbers=student.count,
        seconds=clock() - began,
        divergence=tuple(learner.divergences),
        stopped=stopped.is_set(),
    )
