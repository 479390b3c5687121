"""Trains a model on data, stage by stage; what a stopped run has done is gone on from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nanoaccel.errors import ConfigError
from nanoaccel.exporters.progress import Progress
from nanoaccel.exporters.publish import check_free, publishing
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.source import model_source
from nanoaccel.exporters.source.context import context_length
from nanoaccel.exporters.source.fingerprint import fingerprint
from nanoaccel.exporters.source.model_source import Source
from nanoaccel.exporters.source.tokenizer_files import write_tokenizer
from nanoaccel.finetune.data.prepare import DataOptions, DataSet, prepare
from nanoaccel.finetune.events import Event, Listener, Planned
from nanoaccel.finetune.report.write import TRAINING, write_report
from nanoaccel.finetune.train.options import TrainingOptions
from nanoaccel.registry import ADAPTER_METHODS
from nanoaccel.text import Tokenizer

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel

    from nanoaccel.finetune.train.history import History
    from nanoaccel.finetune.train.loop import Training

_USUAL_LENGTH = 1024  # tokens of an example, where the context allows it


@dataclass(frozen=True, slots=True)
class Trained:
    """What was made.

    Args:
        folder: An adapter in PEFT's format, or a model's folder.
        history: Course of the training; None where only the plan was asked for.
        planned: What the user was told before it began.
        seconds: Seconds by stage.
        peak_memory: The most anonymous memory, bytes.
    """

    folder: Path
    history: History | None
    planned: Planned
    seconds: dict[str, float]
    peak_memory: int


def finetune(
    model: str,
    data: str,
    out: Path,
    options: TrainingOptions | None = None,
    data_options: DataOptions | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    plan_only: bool = False,
    listener: Listener | None = None,
) -> Trained:
    """Train a model on data.

    A folder beside ``out`` keeps checkpoints, and goes when all is done.

    Args:
        model: Hub id, folder, .gguf file, or "sample".
        data: A .jsonl or .parquet file, a folder of such or of texts, or a data set on the hub.
        out: Folder of the adapter or, where all weights are trained, of the model.
        options: How it learns; None is LoRA with its defaults.
        data_options: How data is read; None takes the defaults.
        resume: Whether a training that was stopped is gone on with.
        overwrite: Whether what stands at ``out`` is replaced, and a stopped training forgotten.
        plan_only: Whether to stop before the first step.
        listener: Told of stages, steps and evaluations.

    Returns:
        What was made.

    Raises:
        ConfigError: An option is wrong, or another training stands beside ``out``.
        SourceError: The model or the data cannot be read.
        ExportError: Something else stands at ``out``, or the disk is full.
        KeyboardInterrupt: Ctrl-C was pressed; a checkpoint was written then.
    """
    out = out.resolve()
    check_free(out, overwrite, (TRAINING,))
    run = _Run(
        model_source.resolve(model),
        data,
        TrainingOptions() if options is None else options,
        DataOptions() if data_options is None else data_options,
        (lambda _: None) if listener is None else listener,
    )
    if plan_only:
        with TemporaryDirectory() as name:
            planned, _ = run.prepare(Path(name))
        return Trained(out, None, planned, run.progress.seconds, run.progress.peak_memory)
    with _working(out, resume=resume, overwrite=overwrite) as work:
        planned, training = run.prepare(work)
        history = run.train(training, resume=resume)
        with publishing(out, overwrite=overwrite, manifests=(TRAINING,)) as folder:
            run.write(folder, planned, training, history)
    return Trained(out, history, planned, run.progress.seconds, run.progress.peak_memory)


@contextmanager
def _working(out: Path, *, resume: bool, overwrite: bool) -> Iterator[Path]:
    """A folder for checkpoints that stays until all is done."""
    work = out.parent / f".{out.name}.finetuning"
    if overwrite and not resume:
        shutil.rmtree(work, ignore_errors=True)
    if any(work.glob("*.pt")) and not resume:
        raise ConfigError(
            f"{work} holds a training that was stopped",
            "Go on with it: --resume. Or begin anew: --overwrite",
        )
    work.mkdir(parents=True, exist_ok=True)
    try:
        yield work
    except BaseException:
        if not any(work.glob("*.pt")):
            shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(work)


class _Run:
    """One run.

    Args:
        source: The base.
        data: Where its data is.
        options: How it learns.
        data_options: How data is read.
        listener: Told of all events.
    """

    def __init__(
        self,
        source: Source,
        data: str,
        options: TrainingOptions,
        data_options: DataOptions,
        listener: Listener,
    ) -> None:
        self._source = source
        self._data = data
        self._options = options
        self._data_options = data_options
        self._listener: Listener = listener
        self.progress = Progress(self._heard)
        self._fingerprint = ""
        self._parameters = 0
        self._adapter: LoraConfig | None = None
        self._model: PreTrainedModel | None = None

    def _heard(self, event: Event) -> None:
        self._listener(event)

    def prepare(self, work: Path) -> tuple[Planned, Training]:
        """Read all, try a pass, and tell what will be done."""
        from nanoaccel.finetune.train.checkpoint import Checkpoints
        from nanoaccel.finetune.train.judging import Judge
        from nanoaccel.finetune.train.loop import Training
        from nanoaccel.finetune.train.passes import Passes
        from nanoaccel.finetune.train.trial import seconds_per_token

        with self.progress.stage("read the data"):
            tokenizer = self._tokenizer(work)
            data = prepare(self._data, tokenizer, self._limited())
            if self._options.patience is not None and not data.validation:
                raise ConfigError(
                    f"patience={self._options.patience} needs a validation set",
                    "Name one with --validation, or hold out a share of the data",
                )
        with self.progress.stage("load the model"):
            model = self._load()
            passes = Passes(model)
        judge = Judge(
            model,
            passes,
            tokenizer,
            data.validation,
            samples=self._options.samples,
            pass_tokens=self._options.tokens_of_pass,
        )
        training = Training(
            model,
            passes,
            data.train,
            judge,
            self._options,
            Checkpoints(work),
            self._key(data),
            self._listener,
        )
        with self.progress.stage("try a pass"):
            model.train()
            per_token = seconds_per_token(passes, training, data.train)
        rows = self._rows(data, training, judge.tokens, per_token, packed=passes.packs)
        planned = Planned(tuple(rows), data.warnings)
        self._listener(planned)
        return planned, training

    def train(self, training: Training, *, resume: bool) -> History:
        """All steps that are left."""
        with self.progress.stage("train"):
            return training.run(resume=resume)

    def write(self, folder: Path, planned: Planned, training: Training, history: History) -> None:
        """Write what was trained, and the report."""
        from nanoaccel.adapters.folder import BaseNote
        from nanoaccel.finetune.adapters.files import write_adapter
        from nanoaccel.finetune.model_folder import write_model

        assert self._model is not None
        options = {**asdict(self._options), **asdict(self._data_options), "data": self._data}
        with self.progress.stage("write"):
            if self._adapter is None:
                write_model(self._model.eval(), self._source, folder)
            else:
                note = BaseNote(
                    id=self._source.id,
                    revision=self._source.revision,
                    fingerprint=self._fingerprint,
                    training=told_options(options),
                )
                with quiet():
                    values = training.weights.values()
                    write_adapter(folder, self._model, self._adapter, values, note)
            title = f"{self._source.id}: {self._options.method}"
            write_report(
                folder,
                title,
                planned.rows,
                planned.warnings,
                history,
                options,
                self.progress.peak_memory,
            )

    def _tokenizer(self, work: Path) -> Tokenizer:
        folder = work / "tokenizer"
        folder.mkdir(exist_ok=True)
        with quiet():
            write_tokenizer(self._source, folder)
        return Tokenizer.load(folder)

    def _limited(self) -> DataOptions:
        """The data's options with a length that the model can read."""
        context = context_length(model_source.load_config(self._source))
        wanted = self._data_options.max_length
        if wanted is not None and wanted > context:
            raise ConfigError(
                f"max_length={wanted} is more than the model reads",
                f"Give at most {context}",
            )
        length = min(_USUAL_LENGTH, context) if wanted is None else wanted
        return replace(self._data_options, max_length=length)

    def _load(self) -> PreTrainedModel:
        """The base, with what is to be trained marked."""
        from nanoaccel.finetune.adapters.attach import attach, choose_layers
        from nanoaccel.finetune.model_folder import load_float
        from nanoaccel.finetune.train.four_bits import to_four_bits
        from nanoaccel.finetune.train.weights import multiplies_bf16

        model = load_float(self._source, "bf16" if multiplies_bf16() else "f32")
        self._fingerprint = fingerprint(model)
        self._parameters = int(model.num_parameters())
        if self._options.adapts:
            with quiet():
                if self._options.four_bits:
                    to_four_bits(model)
                self._adapter = attach(model, self._options)
        else:
            choose_layers(model, self._options.layers)
        if self._options.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        self._model = model
        return model

    def _key(self, data: DataSet) -> dict[str, str]:
        """What a checkpoint must have been made with."""
        digest = sha256()
        for example in data.train:
            digest.update(example.key)
        options = {name: str(value) for name, value in asdict(self._options).items()}
        # What is judged, and when it is over, may change.
        for name in ("evaluations", "patience", "samples"):
            options.pop(name)
        return {"base": self._fingerprint, "data": digest.hexdigest(), **options}

    def _rows(
        self,
        data: DataSet,
        training: Training,
        judged: int,
        per_token: float,
        *,
        packed: bool,
    ) -> Sequence[tuple[str, str]]:
        from nanoaccel.finetune.report.plan import plan_rows

        assert self._model is not None
        return plan_rows(
            kind=str(self._model.dtype).removeprefix("torch."),
            parameters=self._parameters,
            options=self._options,
            data=data,
            training=training,
            judged=judged,
            per_token=per_token,
            memory=self.progress.peak_memory,
            packed=packed,
        )


def told_options(options: Mapping[str, object]) -> dict[str, str]:
    """Options as an adapter's folder keeps them, with the package of a plugin's method."""
    told = {name: str(value) for name, value in options.items()}
    package = ADAPTER_METHODS.package_of(told["method"])
    return told if package is None else {**told, "method_package": package}
