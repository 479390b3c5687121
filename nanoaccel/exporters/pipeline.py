"""The export, stage by stage: from a model's name to a published bundle."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nanoaccel.bundle import Bundle
from nanoaccel.bundle.attention import uniform_length
from nanoaccel.calibration.datasets.options import CalibrationOptions
from nanoaccel.errors import MissingExtraError
from nanoaccel.exporters.defaults import (
    NEEDED_FOR_ONNX,
    default_recipe,
    missing_modules,
    obstacle_to_onnx,
)
from nanoaccel.exporters.drafts import choose_draft, place_draft
from nanoaccel.exporters.failures import named_failures
from nanoaccel.exporters.progress import Listener, Progress
from nanoaccel.exporters.publish import check_space, publishing
from nanoaccel.exporters.recipe import PRESETS, Recipe
from nanoaccel.exporters.runtimes import GRAPHS, ONNX, OPENVINO, faster_runtimes, wanted_runtimes
from nanoaccel.exporters.weight_types import FLOATS
from nanoaccel.folders import cache_folder

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from nanoaccel.exporters.material import Material, Wanted
    from nanoaccel.exporters.prequantized import Checkpoint
    from nanoaccel.exporters.report import ReportedGraph
    from nanoaccel.exporters.search import Tried
    from nanoaccel.exporters.self_check import SelfCheck
    from nanoaccel.exporters.source import Source
    from nanoaccel.exporters.workshop import Trial

# Tokens over which a model is judged: to see that it is sound, and to choose by.
_QUICK = 4096
_CAREFUL = 16384
_NEEDED = (
    "torch",
    "transformers",
    "optimum.intel",
    "nncf",
    "openvino",
    "openvino_tokenizers",
    "accelerate",
    "gguf",
    "psutil",
)


def export(
    model: str | Path,
    out: str | Path,
    *,
    recipe: Recipe | None = None,
    calibration: CalibrationOptions | None = None,
    judge_tokens: int | None = None,
    search_seconds: float | None = None,
    draft: str = "auto",
    runtime: str = "auto",
    overwrite: bool = False,
    listener: Listener | None = None,
) -> Bundle:
    """Turn a model into a bundle.

    Args:
        model: Hub id, folder, .gguf file, or "sample".
        out: The bundle's folder; it appears whole, when all is done.
        recipe: How the weights are stored; None chooses by the size of the model, so that it loses
            little (``defaults.default_recipe``).
        calibration: Text for calibrated recipes; None is Python's language reference.
        judge_tokens: Tokens over which the result is compared with the original; None is 4,096,
            and 16,384 where limits or a search depend on it.
        search_seconds: Time for the export, in which recipes are tried and the best under the
            recipe's limits is taken; None makes what the recipe says. A search that was stopped
            goes on.
        draft: Guesses for it: "auto" is a head that comes with NanoAccel, where there is one for
            these weights; "none"; else a head, a bundle, or a model with the same tokenizer, which
            is exported with the same recipe.
        runtime: What runs it: "openvino"; "onnx", with the same compressed weights; "both"; or
            "auto", all that are the fastest at something here: for one request, or for many.
            OpenVINO alone where ONNX Runtime cannot run it, or two graphs would be large.
        overwrite: Whether a bundle that stands at ``out`` is replaced.
        listener: Is told of each stage.

    Raises:
        SourceError: The model or the text cannot be found or read.
        UnsupportedModelError: Its architecture cannot be exported.
        ConfigError: The recipe or the text does not fit the model.
        ExportError: The output cannot be written, the graph does not work, it does not fit into
            memory, or no model keeps the limits.
        MissingExtraError: The extra "export" is not installed.
    """
    runtimes = wanted_runtimes(runtime)
    _check_installed(runtimes if runtime != "auto" else (OPENVINO,))
    careful = search_seconds is not None or (recipe is not None and recipe.limited)
    order = Order(
        recipe=recipe,
        calibration=calibration,
        judge_tokens=(_CAREFUL if careful else _QUICK) if judge_tokens is None else judge_tokens,
        search_seconds=search_seconds,
        draft=draft,
        runtimes=runtimes,
        fastest=runtime == "auto",
    )
    progress = Progress((lambda _: None) if listener is None else listener)
    target = Path(out).resolve()
    with publishing(target, overwrite=overwrite) as folder, named_failures(progress):
        _run(str(model), folder, order, progress)
    return Bundle.open(target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an export shall make; see ``export``.

    Args:
        recipe: How weights are stored; None leaves it to the size of the model.
        runtimes: Names of the backends to make it for.
        fastest: Whether only what is faster here is kept, and what cannot be made is left out.
        note: What was left out of it, and why.
    """

    recipe: Recipe | None
    calibration: CalibrationOptions | None
    judge_tokens: int
    search_seconds: float | None
    draft: str
    runtimes: tuple[str, ...]
    fastest: bool
    note: str = ""

    @property
    def settled(self) -> Recipe:
        """The recipe, once the model is known."""
        assert self.recipe is not None, "the model's size decides first"
        return self.recipe


def _run(model: str, folder: Path, order: Order, progress: Progress) -> None:
    from nanoaccel.exporters import source as sources
    from nanoaccel.exporters.material import gather
    from nanoaccel.exporters.memory import weight_bytes
    from nanoaccel.exporters.openvino.trace import check_supported, context_length
    from nanoaccel.exporters.possible import check_budget, check_draft, check_text
    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.report import Report
    from nanoaccel.exporters.statement import write_manifest
    from nanoaccel.exporters.tokenizer_files import write_tokenizer

    with progress.stage("find the model"), quiet():
        source = sources.resolve(model)
        config = sources.load_config(source)
        progress.model_type = config.model_type
        check_supported(config)
        checkpoint = sources.find_checkpoint(source)
        asked, order = order, _settle(order, source, config, checkpoint)
        _check_runtimes(order, config)
        context = context_length(config)
        wanted = _wanted(order, context)
        check_text(wanted.options, context)
        check_draft(order.draft)
        if checkpoint is None:
            loaded = weight_bytes(source, config, order.settled)
            searching = order.search_seconds is not None
            check_budget(config, order.settled, loaded, searching=searching)
        expected = _check_room(source, config, order, folder)
    with progress.stage("write the tokenizer"), quiet():
        end_ids = write_tokenizer(source, folder)
    material = gather(source, config, folder, wanted, end_ids, context, progress)
    choice = choose_draft(order.draft, material.fingerprint, order.runtimes)
    made = _make(material, order, folder, progress)
    plain = replace(asked, draft="none", search_seconds=None, runtimes=order.runtimes)
    place_draft(
        choice,
        folder,
        lambda name, place: _run(name, place, plain, progress),
        runtimes=[graph.runtime for graph in made.graphs],
        context=context,
    )
    shutil.rmtree(material.traced)
    with progress.stage("check through the engine"), quiet():
        checks = _self_checks(folder, material, made)
    with progress.stage("write the bundle"), quiet():
        opens_in_genai = _finish_folders(folder, made)
        graph = made.trial.graph
        report = Report(
            model=model,
            recipe=made.trial.recipe.describe(),
            note=". ".join(note for note in (made.trial.recipe.note, order.note) if note),
            context=_context_text(config, context),
            architecture=config.model_type,
            parameters=material.parameters,
            graphs=made.graphs,
            weights=graph.weights,
            storage=graph.storage,
            checkpoint="" if checkpoint is None else checkpoint.describe(),
            kept=graph.kept,
            fused_projections=graph.fused_projections,
            calibration=(material.text or "") if made.trial.recipe.calibrated else "",
            tried=made.tried,
            left_out=made.left_out,
            self_checks=checks,
            opens_in_genai=opens_in_genai,
            draft={"kind": choice.kind, "from": choice.place, "reason": choice.reason},
            seconds=progress.seconds,
            peak_memory=progress.peak_memory,
            expected_memory=expected,
        )
        report.write(folder)
        write_manifest(
            folder,
            report,
            source,
            made.trial.recipe,
            context,
            material.fingerprint,
            material.content,
        )


def _settle(
    order: Order, source: Source, config: PretrainedConfig, checkpoint: Checkpoint | None
) -> Order:
    """The order with what was left open decided: the recipe, and the runtimes of "auto"."""
    from nanoaccel.exporters.memory import check_memory, count_parameters

    parameters = count_parameters(config)
    if order.recipe is None and checkpoint is not None:
        order = replace(order, recipe=Recipe())  # what was quantized stays as it is
    elif order.recipe is None:
        recipe = default_recipe(
            parameters, lambda tried: check_memory(source, config, parameters, tried)
        )
        order = replace(order, recipe=recipe)
    if not order.fastest or ONNX not in order.runtimes:
        return order
    reason = obstacle_to_onnx(order.settled, parameters, lambda: _check_runtimes(order, config))
    if reason is None:
        return order
    return replace(order, runtimes=(OPENVINO,), note=f"not made for ONNX Runtime: {reason}")


def _check_room(source: Source, config: PretrainedConfig, order: Order, folder: Path) -> int:
    """Refuse what does not fit into memory or on the disk; bytes of memory that it should take."""
    from nanoaccel.exporters.memory import check_memory, count_parameters, weight_bytes

    recipe, onnx = order.settled, ONNX in order.runtimes
    parameters = count_parameters(config)
    heaviest = recipe if order.search_seconds is None else PRESETS["accurate"]
    expected = check_memory(source, config, parameters, heaviest, onnx=onnx)
    loaded = weight_bytes(source, config, recipe)
    traced = parameters * (loaded + (loaded + 4 if onnx else 0))
    check_space(folder, recipe.bytes_for(parameters) * len(order.runtimes) + traced)
    return expected


def _check_runtimes(order: Order, config: PretrainedConfig) -> None:
    """Refuse, before any weight is loaded, what ONNX Runtime cannot do."""
    if ONNX in order.runtimes:
        from nanoaccel.exporters.onnx.architectures import check_architecture, check_recipe

        check_recipe(order.settled)
        check_architecture(config)


def _self_checks(folder: Path, material: Material, made: _Made) -> list[SelfCheck]:
    """Run each graph through the engine; with float weights it gives what the original does."""
    from nanoaccel.exporters.self_check import JUDGED, ORIGINAL, Expected, self_check

    kept = made.trial.recipe.weights in FLOATS
    group = made.trial.graph.weights.group_size
    found = []
    for graph in made.graphs:
        judged = Expected(made.answers[graph.runtime], JUDGED)
        original = material.answers if kept else None
        expected = judged if original is None else Expected(original, ORIGINAL)
        found.append(self_check(folder, graph.runtime, material.probes, expected, group))
    return found


def _context_text(config: PretrainedConfig, context: int) -> str:
    """How long it is, and why it is no longer."""
    limit = uniform_length(config.get_text_config().to_dict())
    limited = limit is not None and limit[0] == context
    return f"{context:,} tokens" + (f": {limit[1]}" if limit is not None and limited else "")


def _finish_folders(folder: Path, made: _Made) -> bool:
    """Complete the folder of OpenVINO's graph, or delete it; whether OpenVINO GenAI reads it."""
    from nanoaccel.exporters.openvino.genai_tokenizer import write_genai_tokenizer

    own = folder / OPENVINO
    generation = own / "generation_config.json"
    if generation.is_file():
        shutil.copyfile(generation, folder / generation.name)
    if all(graph.runtime != OPENVINO for graph in made.graphs):
        shutil.rmtree(own)
        return False
    return write_genai_tokenizer(folder, own)


def _wanted(order: Order, context: int) -> Wanted:
    """What the order needs of the original; windows fit its context where none were asked for."""
    from nanoaccel.exporters.material import Wanted

    recipe, searching = order.settled, order.search_seconds is not None
    usual = CalibrationOptions()
    fitting = replace(usual, length=min(usual.length, context))
    return Wanted(
        recipe=recipe,
        calibration=recipe.calibrated or searching,
        sensitivity=recipe.mixed or searching,
        options=fitting if order.calibration is None else order.calibration,
        judge_tokens=order.judge_tokens,
        checkpoint=ONNX in order.runtimes,
    )


@dataclass(frozen=True, slots=True)
class _Made:
    """The graph that was made, what else was tried, and the graphs that go into the bundle.

    Each graph's answers to the probes of the self-check are known by its runtime.
    """

    trial: Trial
    graphs: Sequence[ReportedGraph] = ()
    tried: Sequence[Tried] = ()
    left_out: Sequence[str] = ()
    answers: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


def _make(material: Material, order: Order, folder: Path, progress: Progress) -> _Made:
    """Make the graphs in their places in the bundle."""
    from nanoaccel.exporters.onnx import export as onnx
    from nanoaccel.exporters.report import ReportedGraph

    if ONNX not in order.runtimes:
        made = _make_openvino(material, order, folder, progress)
        graph = ReportedGraph(
            runtime=OPENVINO, bytes=made.trial.graph.bytes, fidelity=made.trial.fidelity
        )
        return replace(made, graphs=(graph,), answers={OPENVINO: made.trial.answers})
    builder = onnx.prepare(material, folder / "builder", progress)
    made = _make_openvino(material, order, folder, progress)
    written = onnx.write(material, builder, folder / GRAPHS[OPENVINO], folder / ONNX, progress)
    found = {
        OPENVINO: (made.trial.graph.bytes, made.trial.fidelity),
        ONNX: (written.bytes, written.fidelity),
    }
    kept = faster_runtimes(folder, order.runtimes) if order.fastest else order.runtimes
    for name in set(found) - set(kept) - {OPENVINO}:
        shutil.rmtree(folder / name)
    graphs = [ReportedGraph(runtime=n, bytes=found[n][0], fidelity=found[n][1]) for n in kept]
    answers = {OPENVINO: made.trial.answers, ONNX: written.answers}
    return replace(made, graphs=graphs, answers=answers)


def _make_openvino(material: Material, order: Order, folder: Path, progress: Progress) -> _Made:
    """Make OpenVINO's graph, by one recipe or by the best of several."""
    from nanoaccel.exporters.limits import smallest_within
    from nanoaccel.exporters.original_key import graph_key
    from nanoaccel.exporters.search import search
    from nanoaccel.exporters.workshop import Workshop

    workshop = Workshop(material, progress)
    trials = folder / "trials"
    if order.search_seconds is not None:
        loaded = "own" if order.settled.compressed else order.settled.weights
        name = f"{graph_key(material.content)[:32]}-{loaded}-{material.digest[:16]}"
        memory = cache_folder() / "searches" / name
        left = order.search_seconds - sum(progress.seconds.values())
        found = search(workshop.make, order.settled, workshop.budget, trials, memory, left)
        trial = found.trial or workshop.make(found.recipe, trials / "best")
        made = _Made(trial, tried=found.tried, left_out=found.left_out)
    elif order.settled.limited:
        made = _Made(smallest_within(workshop.make, order.settled, workshop.budget, trials)[-1])
    else:
        made = _Made(workshop.make(order.settled, trials / "only"))
    path = made.trial.graph.path
    path.parent.rename(folder / OPENVINO)
    shutil.rmtree(trials)
    return made


def _check_installed(runtimes: Sequence[str]) -> None:
    missing = missing_modules((*_NEEDED, *(NEEDED_FOR_ONNX if ONNX in runtimes else ())))
    if missing:
        raise MissingExtraError(
            f"export needs {', '.join(missing)}", 'Install them: pip install "nanoaccel[export]"'
        )
