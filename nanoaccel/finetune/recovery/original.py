"""The model that a bundle was made from: found, loaded, and what it predicts."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nanoaccel.bundle import Bundle, Manifest
from nanoaccel.calibration.datasets import CalibrationData
from nanoaccel.calibration.probes import Probes
from nanoaccel.calibration.reference import Reference
from nanoaccel.errors import SourceError
from nanoaccel.exporters.convert.original import find_original
from nanoaccel.exporters.progress import Progress
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.reference.encoder import ModelEncoder
from nanoaccel.exporters.reference.measurements import Original, predictions
from nanoaccel.exporters.source import model_source
from nanoaccel.exporters.source.fingerprint import fingerprint
from nanoaccel.exporters.source.model_source import Source
from nanoaccel.exporters.source.original_key import content_key
from nanoaccel.exporters.source.places import HUB_ID
from nanoaccel.exporters.targets.probing import probes_for
from nanoaccel.finetune.model_folder import load_float
from nanoaccel.finetune.recovery.learning.student import as_teacher, product_type
from nanoaccel.finetune.recovery.memory import check_memory
from nanoaccel.finetune.recovery.options import RecoveryOptions
from nanoaccel.finetune.recovery.texts import Writer, judging_text, teaching_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class LoadedOriginal:
    """The loaded original.

    Args:
        model: Its weights, in their own type.
        content: Names it: weights, configuration and tokenizer.
        memory: Bytes that the recovery should take.
    """

    model: PreTrainedModel
    content: str
    memory: int

    def texts(
        self, bundle: Bundle, options: RecoveryOptions, progress: Progress
    ) -> tuple[CalibrationData, Reference, Probes]:
        """What teaches; the original's predictions over what judges; what the engine is asked.

        Args:
            bundle: The bundle.
            options: Which text it is.
            progress: Learns the stages.

        Raises:
            ConfigError, SourceError: There is no such text, or too little of it.
        """
        context, encoder = bundle.context_length, ModelEncoder(bundle.folder)
        ends = _end_ids(self.model)
        with progress.stage("choose the text") as tell, quiet():
            judge = judging_text(options.text, encoder, options.judge_tokens, context)
            writer = Writer(self.model, self.content, ends)
            teaching = teaching_text(options.text, encoder, writer, tell)
        with progress.stage("run the original") as tell, quiet():
            original = Original(self.model, self.content, ends, context)
            reference = predictions(original, judge, tell)
        return teaching, reference, probes_for(self.model.config, judge, context)

    def split(self) -> tuple[PreTrainedModel, PreTrainedModel]:
        """A teacher, and a copy that shares its weights until it is edited.

        This one must not be used any more.
        """
        teacher = as_teacher(self.model)
        shared = {id(weight): weight for weight in teacher.parameters()}
        return teacher, copy.deepcopy(teacher, shared)


def load_original(
    bundle: Bundle, manifest: Manifest, options: RecoveryOptions, progress: Progress
) -> LoadedOriginal:
    """Find and load the model that a bundle was made from.

    Args:
        bundle: The bundle.
        manifest: Its manifest.
        options: May name the model.
        progress: Learns the stages.

    Raises:
        SourceError: It is not here, or has other weights by now.
        ExportError: There is too little memory.
    """
    with progress.stage("find the original"), quiet():
        source = _find(bundle, manifest, options.original)
        config = model_source.load_config(source)
        progress.model_type = config.model_type
        memory = check_memory(config, product_type().itemsize)
    with progress.stage("load the weights"):
        model = load_float(source, "int8")
        if bundle.fingerprint() not in (None, fingerprint(model)):
            raise SourceError(
                f"{source.id} has other weights than {bundle.folder} was made from",
                "Name its original with --original",
            )
        return LoadedOriginal(model, content_key(source), memory)


def _find(bundle: Bundle, manifest: Manifest, named: str | None) -> Source:
    found = find_original(manifest, named)
    if found is None:
        name = str(manifest.source.get("id"))
        pull = f", or get it: nanoaccel pull {name}" if HUB_ID.fullmatch(name) else ""
        raise SourceError(
            f"{bundle.folder} learns from its original, and {name} is not here as it was",
            f"Name it with --original{pull}",
        )
    return model_source.resolve(found)


def _end_ids(model: PreTrainedModel) -> tuple[int, ...]:
    config = model.generation_config
    found = None if config is None else config.eos_token_id
    if found is None:
        return ()
    return tuple(found) if isinstance(found, list) else (found,)
