"""Makes a draft for a target, stage by stage; what a stopped run has done is not done again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.bundle import HEAD, MANIFEST, Bundle, HeadManifest, list_files
from nanoaccel.errors import ConfigError, NanoAccelError
from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.progress import Listener, Progress
from nanoaccel.exporters.publish import publishing
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.source import model_source as sources
from nanoaccel.exporters.source.tokenizer_files import write_tokenizer
from nanoaccel.exporters.targets.head_graphs import give_graphs
from nanoaccel.exporters.targets.table import BASE, BUILT_IN, derived
from nanoaccel.finetune.drafts import corpus
from nanoaccel.finetune.drafts.recipe import DraftRecipe
from nanoaccel.finetune.drafts.training_examples import (
    ExampleFolder,
    TrainingExample,
    choose_vocabulary,
)
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.execution.loader import open_backend
from nanoaccel.runtime.llm import LLM

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from nanoaccel.finetune.drafts.draft_module import DraftModule

_AT_ONCE = 64  # answers that the target writes side by side
_JUDGED_DEPTH = 4  # draft tokens in a row
_GRAPH = "head.xml"


@dataclass(frozen=True, slots=True)
class TrainedDraft:
    """What was made.

    Args:
        folder: A head or a bundle.
        survival: Share of held-out positions where the first 1, 2, ... draft tokens are all right.
        seconds: Seconds by stage.
    """

    folder: Path
    survival: list[float]
    seconds: dict[str, float]


def train_draft(
    target: str,
    out: Path,
    recipe: DraftRecipe,
    *,
    overwrite: bool = False,
    listener: Listener | None = None,
) -> TrainedDraft:
    """Train a draft for a target.

    A folder beside ``out`` keeps what is done, and goes when all is. Naming the same target and
    recipe again goes on with it.

    Args:
        target: A bundle, or a model, which is then exported first: hub id, folder, .gguf file, or
            "sample".
        out: Folder of the draft.
        recipe: What to train.
        overwrite: Whether a draft that stands at ``out`` is replaced.
        listener: Called with the events of each stage.

    Raises:
        ConfigError: An option is wrong, or another training stands beside ``out``.
        NanoAccelError: As of ``export`` and ``LLM``.
    """
    progress = Progress((lambda _: None) if listener is None else listener)
    out = out.resolve()
    work = out.parent / f".{out.name}.training"
    with (
        publishing(out, overwrite=overwrite, manifests=(HEAD, MANIFEST)) as folder,
        _working(work, target, recipe) as work,
    ):
        draft = _Training(_target(target, work, progress), recipe, work, progress)
        survival = draft.run(folder)
    return TrainedDraft(out, survival, progress.seconds)


def _target(target: str, work: Path, progress: Progress) -> Bundle:
    """The target as a bundle."""
    if Bundle.is_one(target):
        return Bundle.open(target)
    bundle = work / "target"
    if not bundle.is_dir():
        with progress.stage("export the target"):
            export(target, bundle)
    return Bundle.open(bundle)


@contextmanager
def _working(work: Path, target: str, recipe: DraftRecipe) -> Iterator[Path]:
    """A folder that stays until all is done."""
    note = json.dumps({"target": target, **asdict(recipe)}, default=str, indent=2)
    file = work / "recipe.json"
    work.mkdir(parents=True, exist_ok=True)
    if file.is_file() and file.read_text() != note:
        raise ConfigError(
            f"{work} holds a training with other options",
            f"Give the same, or remove it: rm -r {work}",
        )
    file.write_text(note)
    yield work
    shutil.rmtree(work)


class _Training:
    """One run.

    Args:
        target: Bundle of the target.
        recipe: What to train.
        work: Folder for what is done.
        progress: Progress of the export.
    """

    def __init__(self, target: Bundle, recipe: DraftRecipe, work: Path, progress: Progress) -> None:
        from transformers import AutoConfig

        self._target = target
        self._recipe = recipe
        self._work = work
        self._progress = progress
        self._config = AutoConfig.from_pretrained(target.graph.parent, trust_remote_code=False)

    def run(self, folder: Path) -> list[float]:
        """Train, write the draft into ``folder``, and tell how often it was right."""
        from nanoaccel.finetune.drafts.judging import split, survival

        texts = self._texts()
        vocabulary = self._vocabulary(texts)
        module = self._module(vocabulary)
        taught, held = split(list(self._examples(texts, vocabulary)))
        self._train(module, taught)
        with self._progress.stage("judge it on text that it has not seen"):
            found = survival(module, held, _JUDGED_DEPTH)
        with self._progress.stage("write the draft"), quiet():
            self._write(module, vocabulary, folder, found)
        return found

    def _texts(self) -> list[corpus.Text]:
        file = self._work / "corpus.jsonl"
        with self._progress.stage("let the target write") as tell:
            llm = LLM(
                self._target.folder,
                speculation="off",
                prefix_cache=False,
                max_running=_AT_ONCE,
            )
            with llm:
                if self._recipe.text is None:
                    corpus.write_corpus(
                        llm,
                        file,
                        num_tokens=self._recipe.tokens,
                        seed=self._recipe.seed,
                        progress=lambda done: tell(min(1.0, done / self._recipe.tokens)),
                    )
                elif not file.is_file():
                    corpus.split_text(llm, self._recipe.text.read_text(encoding="utf-8"), file)
        return list(corpus.read_corpus(file))

    def _vocabulary(self, texts: Sequence[corpus.Text]) -> list[int]:
        size = self._config.get_text_config().vocab_size
        if self._recipe.kind == "layers":
            return list(range(size))
        return choose_vocabulary(texts, self._recipe.vocabulary, size)

    def _examples(
        self, texts: Sequence[corpus.Text], vocabulary: list[int]
    ) -> Iterator[TrainingExample]:
        from nanoaccel.finetune.drafts.head_start import layers_to_read

        text = self._config.get_text_config()
        layers = layers_to_read(text.num_hidden_layers) if self._recipe.kind == "head" else ()
        examples = ExampleFolder(
            self._work / "examples", len(layers) * text.hidden_size, len(vocabulary)
        )
        total = sum(len(text.prompt) + len(text.answer) for text in texts)
        with self._progress.stage("let the target read it") as tell:
            backend = open_backend(
                self._target, self._target.runtime, EngineConfig(), hidden_layers=layers
            )
            longest = max(len(text.prompt) + len(text.answer) for text in texts)
            backend.allocate_cache(-(-longest // backend.info.block_size))
            examples.write(
                texts,
                backend,
                vocabulary=vocabulary,
                num_layers=len(layers),
                progress=lambda done: tell(done / total),
            )
            backend.close()
        return iter(examples)

    def _module(self, vocabulary: list[int]) -> DraftModule:
        with self._progress.stage("load the target's weights"), quiet():
            model = self._original()
        if self._recipe.kind == "layers":
            from nanoaccel.finetune.drafts.student import Student

            if model is None:
                raise ConfigError(
                    f"the weights that {self._target.folder} was made from are not there",
                    "Name the model instead of the bundle",
                )
            return Student(model, self._recipe.layers)
        import torch

        from nanoaccel.finetune.drafts.head import DraftHead
        from nanoaccel.finetune.drafts.head_start import continue_head, head_shape, take_over

        torch.manual_seed(self._recipe.seed)
        head = DraftHead(head_shape(self._config, len(vocabulary)))
        if model is not None:
            take_over(head, model, vocabulary)
        if self._recipe.start is not None:
            continue_head(head, self._recipe.start, vocabulary)
        return head

    def _original(self) -> PreTrainedModel | None:
        """The target's own weights; None when its source is gone."""
        source = self._source()
        return None if source is None else sources.load(source, "f32")[0]

    def _source(self) -> sources.Source | None:
        manifest = self._target.manifest
        name = None if manifest is None else manifest.source.get("id")
        if name is None:
            return None
        try:
            return sources.resolve(name)
        except NanoAccelError:
            return None

    def _train(self, module: DraftModule, examples: Sequence[TrainingExample]) -> None:
        from nanoaccel.finetune.drafts.training import TrainingOptions, train

        options = TrainingOptions(
            epochs=self._recipe.epochs,
            depth=3 if self._recipe.kind == "head" else 1,
            seed=self._recipe.seed,
        )
        with self._progress.stage("train the draft") as tell:
            train(module, examples, options, self._work / "training.pt", tell)

    def _write(
        self, module: DraftModule, vocabulary: list[int], folder: Path, survival: list[float]
    ) -> None:
        from nanoaccel.finetune.drafts.student import Student

        recipe = Recipe()
        if isinstance(module, Student):
            source = self._source()
            assert source is not None
            module.save(self._work / "student")
            write_tokenizer(source, self._work / "student")
            runtimes = self._target.runtimes
            made = export(
                self._work / "student",
                self._work / "bundle",
                runtime=runtimes[0] if len(runtimes) == 1 else "both",
                overwrite=True,
            )
            shutil.copytree(made.folder, folder, dirs_exist_ok=True)
            return
        from nanoaccel.finetune.drafts.head_graph import write_graph
        from nanoaccel.finetune.drafts.head_start import layers_to_read

        text = self._config.get_text_config()
        layers = layers_to_read(text.num_hidden_layers)
        write_graph(module, vocabulary, text.vocab_size, folder / _GRAPH, recipe)
        fingerprint = self._target.fingerprint()
        assert fingerprint is not None
        manifest = HeadManifest(
            runtime=BASE.name,
            graph=_GRAPH,
            target=fingerprint,
            layers=layers,
            feature_size=len(layers) * text.hidden_size,
            hidden_size=text.hidden_size,
            vocabulary=tuple(vocabulary),
            weight_group_size=recipe.group_size,
            training={
                **{name: str(value) for name, value in asdict(self._recipe).items()},
                "survival": survival,
            },
            files=list_files(folder),
        )
        (folder / HEAD).write_text(manifest.to_json(), encoding="utf-8")
        names = {*self._target.runtimes} & {*BUILT_IN}
        others = [target.name for target in derived(names)]
        if others:
            give_graphs(folder, (*others, BASE.name), self._target.context_length)
