"""What the engines open: exports of one model, each made once and kept in a work folder."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.genai_export import export_for_genai
from benchmarks.harness.random_llama import write_random_llama

RANDOM_MODEL = "random-1.1b"
GROUP_SIZE = 64


@dataclass(frozen=True, slots=True)
class Exports:
    """Exports of one model. Each method makes one, unless it is there, and gives its path.

    Args:
        model: As for ``nanoaccel export``, or "random-1.1b".
        work: Folder to keep them in.
        group_size: Weights that share a scale, in our bundles and OpenVINO GenAI's.
        llama_python: Interpreter that has llama_cpp.
        gguf: File for llama.cpp; None quantizes the model's own.
        ours: A bundle of it for both runtimes; None exports one.
    """

    model: str
    work: Path
    group_size: int = GROUP_SIZE
    llama_python: str = sys.executable
    gguf: Path | None = None
    ours: Path | None = None

    def original(self) -> str:
        """The model to export; the random one is written first."""
        if self.model == RANDOM_MODEL:
            return str(write_random_llama(self.work / "random-llama"))
        return self.model

    def source(self) -> Path:
        """The checkpoint that peers are made from, with float weights."""
        from nanoaccel.exporters.quiet import quiet
        from nanoaccel.exporters.source.model_source import load_model, resolve
        from nanoaccel.exporters.source.tokenizer_files import write_tokenizer

        source = self.work / "source"
        if not source.exists():
            found = resolve(self.original())
            source.mkdir()
            with quiet():
                load_model(found, "int4").save_pretrained(source)
            write_tokenizer(found, source)
        return source

    def default_bundle(self) -> Path:
        """NanoAccel's bundle for OpenVINO, by its default recipe."""
        return self._bundle("default")

    def bundle(self) -> Path:
        """NanoAccel's bundle for both runtimes, in int4 as the peers have it, or what is given."""
        if self.ours is not None:
            return self.ours
        return self._bundle("both", recipe=self._recipe(), runtime="both")

    def genai(self) -> Path:
        """What OpenVINO's tools make for OpenVINO GenAI: int4, their default scheme."""
        return self._genai("peer-asym", symmetric=False)

    def genai_symmetric(self) -> Path:
        """What OpenVINO's tools make for OpenVINO GenAI: int4, symmetric."""
        return self._genai("peer-sym", symmetric=True)

    def onnxruntime_genai(self) -> Path:
        """What onnxruntime-genai's builder makes: int4, groups of 32, int8 arithmetic."""
        out = self.work / "peer"
        if not out.exists():
            builder = [sys.executable, "-m", "benchmarks.harness.genai_builder"]
            made = [str(self.source()), str(out), "int4", "int4_accuracy_level=4"]
            subprocess.run([*builder, *made], check=True)
        return out

    def q4_0(self) -> Path:
        """The GGUF file for llama.cpp: the one that was given, or Q4_0 by its own quantizer.

        Raises:
            FileNotFoundError: The model is no GGUF file, nor the sample, nor the random one.
        """
        if self.gguf is not None:
            return self.gguf
        out = self.work / "q4_0.gguf"
        if not out.exists():
            script = Path(__file__).with_name("llama_quantize.py")
            command = [self.llama_python, str(script), str(self._quantizable()), str(out)]
            subprocess.run(command, check=True, capture_output=True)
        return out

    def _recipe(self) -> Any:
        from nanoaccel.exporters.quantize.recipe import Recipe

        return Recipe(group_size=self.group_size)

    def _bundle(self, name: str, *, recipe: Any = None, runtime: str = "openvino") -> Path:
        from nanoaccel.exporters.pipeline import export

        out = self.work / name
        if not out.exists():
            export(self.original(), out, recipe=recipe, runtime=runtime)
        return out

    def _genai(self, name: str, *, symmetric: bool) -> Path:
        out = self.work / name
        if not out.exists():
            export_for_genai(self.source(), out, symmetric=symmetric, group_size=self.group_size)
        return out

    def _quantizable(self) -> Path:
        """The file that llama.cpp's quantizer reads."""
        from benchmarks.harness.llama_gguf import write_gguf
        from nanoaccel.exporters.source.model_source import resolve

        sample = resolve("sample").gguf
        if self.model == RANDOM_MODEL and sample is not None:  # whose tokenizer it has
            out = self.work / "bf16.gguf"
            write_gguf(Path(self.original()), sample.path, out)
            return out
        found = resolve(self.original())
        if found.gguf is None:
            raise FileNotFoundError(f"{self.model} is no GGUF file; give one with --gguf")
        return found.gguf.path
