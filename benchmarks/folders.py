"""What the engines open: exports of one model, made once and kept in a work folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from llama_gguf import write_gguf
from random_llama import write_random_llama

from nanoaccel.exporters.quiet import quiet

RANDOM_MODEL = "random-1.1b"
SOURCE, BOTH, BUNDLE = "source", "both", "bundle"
GENAI = {"peer-asym": (), "peer-sym": ("--sym",)}
ORT_GENAI = "peer"
GROUP_SIZE = 64


def model_of(name: str, work: Path) -> str:
    """The model to export; the random one is written first."""
    return str(write_random_llama(work / "random-llama")) if name == RANDOM_MODEL else name


def write_source(model: str, work: Path) -> Path:
    """The checkpoint that peers are made from, with float weights."""
    from nanoaccel.exporters.source.model_source import load_model, resolve
    from nanoaccel.exporters.source.tokenizer_files import write_tokenizer

    source = work / SOURCE
    if not source.exists():
        found = resolve(model_of(model, work))
        source.mkdir()
        with quiet():
            load_model(found, "int4").save_pretrained(source)
        write_tokenizer(found, source)
    return source


def write_bundle(
    model: str, work: Path, runtime: str = "openvino", group_size: int = GROUP_SIZE
) -> Path:
    """NanoAccel's bundle, in int4 as the peers have it."""
    from nanoaccel.exporters.pipeline import export
    from nanoaccel.exporters.quantize.recipe import Recipe

    out = work / (BOTH if runtime == "both" else BUNDLE)
    if not out.exists():
        export(model_of(model, work), out, recipe=Recipe(group_size=group_size), runtime=runtime)
    return out


def write_genai(model: str, work: Path, name: str, group_size: int = GROUP_SIZE) -> Path:
    """What optimum-cli exports for OpenVINO GenAI with int4 weights, in groups as large as ours.

    Args:
        model: To export.
        work: Where to.
        name: "peer-asym" is optimum's default scheme, "peer-sym" the other one.
        group_size: Weights that share a scale.
    """
    out = work / name
    if not out.exists():
        source = write_source(model, work)
        command = [str(Path(sys.executable).with_name("optimum-cli")), "export", "openvino"]
        command += ["--model", str(source), "--task", "text-generation-with-past"]
        command += ["--weight-format", "int4", "--group-size", str(group_size)]
        command += [*GENAI[name], str(out)]
        subprocess.run(command, check=True, capture_output=True)
    return out


def write_ort_genai(model: str, work: Path) -> Path:
    """What onnxruntime-genai's builder makes: int4, groups of 32, int8 arithmetic."""
    from nanoaccel.exporters.targets.onnx.builder import run_builder

    out = work / ORT_GENAI
    if not out.exists():
        options = {"int4_accuracy_level": "4"}
        run_builder(write_source(model, work), out, precision="int4", options=options)
    return out


def write_q4_0(model: str, work: Path, python: str) -> Path:
    """The GGUF file for llama.cpp at Q4_0, by its own quantizer.

    Args:
        model: The sample, a .gguf file, or the random one.
        work: Where to.
        python: Interpreter that has llama_cpp.

    Raises:
        FileNotFoundError: The model is none of these.
    """
    out = work / "q4_0.gguf"
    if not out.exists():
        script = Path(__file__).with_name("llama_quantize.py")
        command = [python, str(script), str(_gguf_of(model, work)), str(out)]
        subprocess.run(command, check=True, capture_output=True)
    return out


def _gguf_of(model: str, work: Path) -> Path:
    """The file that llama.cpp's quantizer reads."""
    from nanoaccel.exporters.source.model_source import resolve

    sample = resolve("sample").gguf
    if model == RANDOM_MODEL and sample is not None:  # whose tokenizer it has
        out = work / "bf16.gguf"
        write_gguf(Path(model_of(model, work)), sample.path, out)
        return out
    found = resolve(model_of(model, work))
    if found.gguf is None:
        raise FileNotFoundError(f"{model} is no GGUF file; give one with --gguf")
    return found.gguf.path
