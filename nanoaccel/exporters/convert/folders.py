"""From and to the folders of optimum-intel, and from those of onnxruntime-genai."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from nanoaccel.bundle import MODEL_CONFIG, Bundle, Manifest, ModelEntry, weights_file
from nanoaccel.cached_json import versions_of
from nanoaccel.errors import BundleDamagedError, ExportError
from nanoaccel.exporters.convert.request import Conversion, Converted
from nanoaccel.exporters.convert.restated import read_manifest, restate
from nanoaccel.exporters.publish import publishing
from nanoaccel.exporters.targets.table import BASE, DEFAULT, target_names
from nanoaccel.openvino_core import openvino_core

_GRAPH = "openvino_model.xml"
_COMPANIONS = (MODEL_CONFIG, "generation_config.json")
_GENAI = "genai_config.json"
_TOOLS = ("nanoaccel", "openvino", "onnxruntime", "transformers", "tokenizers")
_UNJUDGED = "Made of a folder that says nothing of its original: how close it is was not measured"


def wrap_optimum(conversion: Conversion) -> Converted:
    """Make a bundle of a folder of optimum-intel.

    Raises:
        NanoAccelError: A file is missing, the graph does not run in the engine, or, for another
            runtime or recipe, as ``recover`` and ``export``.
    """
    options = conversion.options
    plain = Bundle.open(Path(conversion.source).expanduser())
    runtimes = (BASE.name,) if options.runtime is None else target_names(options.runtime)
    with publishing(conversion.out, overwrite=options.overwrite) as folder:
        if runtimes != (BASE.name,) or options.recipe is not None:
            from nanoaccel.exporters.convert.kept_weights import export_weights

            export_weights(plain.graph, plain.folder, folder, runtimes, options.recipe, conversion)
            made = read_manifest(folder)
            stated = replace(made, source={**made.source, "id": plain.folder.name})
            note = "Made of the weights of a folder of optimum-intel, not of the original"
            restate(folder, stated, note, model=plain.folder.name)
            return Converted(conversion.out, "bundle", "compressed anew", (note,))
        _wrap_graph(plain, folder, conversion)
    return Converted(conversion.out, "bundle", "its graph is unchanged", (_UNJUDGED,))


def _wrap_graph(plain: Bundle, folder: Path, conversion: Conversion) -> None:

    from nanoaccel.exporters.quantize.compression import weight_statistics
    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.source.memory import count_parameters
    from nanoaccel.exporters.source.model_source import Source, load_config

    with conversion.progress.stage("copy the graph"), quiet():
        _write_tokenizer(plain.folder, folder)
        own = folder / BASE.name
        own.mkdir()
        for name in (_GRAPH, weights_file(plain.graph).name, *_COMPANIONS):
            if (plain.folder / name).is_file():
                shutil.copyfile(plain.folder / name, own / name)
        BASE.finish(folder, kept=True)
        config = load_config(Source(plain.folder.name, None, plain.folder, None))
        group = weight_statistics(openvino_core().read_model(plain.graph)).group_size
        entry = ModelEntry(
            runtime=BASE.name,
            graph=BASE.graph,
            architecture=config.model_type,
            context_length=plain.context_length,
            parameters=count_parameters(config),
            weight_group_size=group,
        )
    _check_runs(folder, entry)
    restate(folder, _manifest(plain.folder, entry), _UNJUDGED)


def wrap_genai(conversion: Conversion) -> Converted:
    """Make a bundle of a folder of onnxruntime-genai, with its graph as it is.

    Raises:
        NanoAccelError: A file is missing, or the graph does not run in the engine.
    """
    import json

    from nanoaccel.exporters.quiet import quiet

    plain = Bundle.open(Path(conversion.source).expanduser())
    described = json.loads((plain.folder / _GENAI).read_text(encoding="utf-8"))
    with publishing(conversion.out, overwrite=conversion.options.overwrite) as folder:
        with conversion.progress.stage("copy the graph"), quiet():
            _write_tokenizer(plain.folder, folder)
            own = folder / DEFAULT
            own.mkdir()
            for path in (plain.graph, weights_file(plain.graph), plain.folder / _GENAI):
                if path.is_file():
                    shutil.copyfile(path, own / path.name)
            for name in _COMPANIONS:
                if (plain.folder / name).is_file():
                    shutil.copyfile(plain.folder / name, own / name)
            _write_sampling(described, folder)
            entry = ModelEntry(
                runtime=DEFAULT,
                graph=f"{DEFAULT}/{plain.graph.name}",
                architecture=str(described["model"].get("type")),
                context_length=plain.context_length,
                parameters=_count_weights(plain.graph),
                weight_group_size=None,
            )
        _check_runs(folder, entry)
        restate(folder, _manifest(plain.folder, entry), _UNJUDGED)
    return Converted(conversion.out, "bundle", "its graph is unchanged", (_UNJUDGED,))


def _write_sampling(described: dict[str, object], folder: Path) -> None:
    """The end tokens and the sampling that a genai_config.json says, as others read them."""
    import json

    model, search = described["model"], described.get("search")
    assert isinstance(model, dict)
    found: dict[str, object] = {
        name: model[name]
        for name in ("eos_token_id", "bos_token_id", "pad_token_id")
        if name in model
    }
    if isinstance(search, dict):
        names = ("do_sample", "temperature", "top_k", "top_p", "repetition_penalty")
        found |= {name: search[name] for name in names if name in search}
    (folder / "generation_config.json").write_text(json.dumps(found) + "\n", encoding="utf-8")


def _count_weights(graph: Path) -> int:
    """Weights of the matrices of a graph of the builder."""
    import math

    import onnx

    model = onnx.load(str(graph), load_external_data=False)
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    quantized = {"MatMulNBits": ("K", "N")}
    scales = {i for node in model.graph.node if node.op_type in quantized for i in node.input[1:]}
    count = sum(
        math.prod(tensor.dims)
        for tensor in model.graph.initializer
        if tensor.data_type in floats and tensor.name not in scales
    )
    for node in model.graph.node:
        if node.op_type in quantized:
            sizes = {item.name: item.i for item in node.attribute}
            count += math.prod(sizes[name] for name in quantized[node.op_type])
    return int(count)


def _write_tokenizer(source: Path, folder: Path) -> None:
    from nanoaccel.exporters.source.model_source import Source
    from nanoaccel.exporters.source.tokenizer_files import write_tokenizer

    write_tokenizer(Source(source.name, None, source, None), folder)


def _check_runs(folder: Path, entry: ModelEntry) -> None:
    """Refuse a graph that the engine does not run.

    Raises:
        ExportError: It does not.
    """
    import numpy as np

    from nanoaccel.calibration.probes import choose_probes
    from nanoaccel.errors import MissingExtraError, NanoAccelError
    from nanoaccel.registry import ENGINE_CHECKS
    from nanoaccel.text import Tokenizer

    tokens = Tokenizer.load(folder).encode("The engine has to run this graph, and says if it does.")
    window = np.array((tokens * 32)[:512], np.int64)
    probes = choose_probes([window], min(entry.context_length, 64))
    ask = ENGINE_CHECKS.resolve("engine")
    try:
        ask(folder, entry.runtime, folder / entry.graph, probes, entry.weight_group_size)
    except MissingExtraError:
        raise
    except NanoAccelError as error:
        raise ExportError(
            f"the graph does not run in the engine: {error.problem}",
            "No bundle was written; convert its original instead",
        ) from error


def _manifest(source: Path, entry: ModelEntry) -> Manifest:
    return Manifest(
        target=entry,
        source={"id": source.name, "revision": None},
        recipe={},
        tools=versions_of(_TOOLS),
        validation={},
        draft={"kind": "none", "from": "", "reason": "a plain folder has none"},
    )


def model_to_optimum(conversion: Conversion) -> Converted:
    """Export a model, and keep the folder of its OpenVINO graph.

    Raises:
        NanoAccelError: As ``export``.
    """
    from nanoaccel.exporters.pipeline import export

    options = conversion.options
    with _publishing_optimum(conversion) as folder:
        scratch = folder / ".scratch"
        made = export(
            conversion.source,
            scratch,
            recipe=options.recipe,
            calibration=options.calibration,
            judge_tokens=options.judge_tokens,
            draft="none",
            runtime=BASE.name,
            listener=conversion.progress.listener,
        )
        _copy_optimum(made, folder)
        shutil.rmtree(scratch)
    return Converted(conversion.out, "optimum", "exported for OpenVINO")


def bundle_to_optimum(conversion: Conversion) -> Converted:
    """Copy the folder of a bundle's OpenVINO graph, or make it.

    Raises:
        NanoAccelError: As ``convert_bundle``.
    """
    from nanoaccel.exporters.convert.bundle_parts import open_whole
    from nanoaccel.exporters.convert.bundles import convert_bundle

    bundle = open_whole(conversion.source)
    with _publishing_optimum(conversion) as folder:
        how = "its graph is unchanged"
        if BASE.name not in bundle.runtimes:
            wanted = replace(conversion.options, runtime=BASE.name, overwrite=False)
            inner = replace(conversion, out=folder / ".scratch", options=wanted)
            how = convert_bundle(inner).how
            bundle = Bundle.open(inner.out)
        _copy_optimum(bundle, folder)
        shutil.rmtree(folder / ".scratch", ignore_errors=True)
    return Converted(conversion.out, "optimum", how)


def _publishing_optimum(conversion: Conversion) -> AbstractContextManager[Path]:
    return publishing(conversion.out, overwrite=conversion.options.overwrite, manifests=(_GRAPH,))


def _copy_optimum(bundle: Bundle, folder: Path) -> None:
    """The graph's folder, and the files that a bundle keeps beside it."""
    shutil.copytree(bundle.graph_for(BASE.name).parent, folder, dirs_exist_ok=True)
    names = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "chat_template.json")
    for name in (*names, "generation_config.json"):
        if (bundle.folder / name).is_file():
            shutil.copyfile(bundle.folder / name, folder / name)
    if not (folder / MODEL_CONFIG).is_file():
        raise BundleDamagedError(f"{bundle.folder} has no {MODEL_CONFIG}", "Export it again")
