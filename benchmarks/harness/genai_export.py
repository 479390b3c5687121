"""What OpenVINO's tools make for OpenVINO GenAI: NNCF's int4, as optimum-cli asks for it.

optimum-intel itself does not run beside the newest transformers; the graph that it would compress
is traced here.
"""

from __future__ import annotations

from pathlib import Path

from nanoaccel.openvino_core import openvino_core


def export_for_genai(source: Path, out: Path, *, symmetric: bool, group_size: int) -> None:
    """Write a folder that OpenVINO GenAI opens.

    Args:
        source: Folder of the original.
        out: Output folder; made new.
        symmetric: Whether weights have no zero points; optimum-cli's ``--sym``.
        group_size: Weights that share a scale.
    """
    import nncf
    import openvino as ov

    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.source.model_source import load_model, resolve
    from nanoaccel.exporters.targets.openvino.genai_tokenizer import write_genai_tokenizer
    from nanoaccel.exporters.targets.openvino.trace import trace

    mode = nncf.CompressWeightsMode.INT4_SYM if symmetric else nncf.CompressWeightsMode.INT4_ASYM
    with quiet():
        traced = trace(load_model(resolve(str(source)), "int4"), out / "traced")
        graph = openvino_core().read_model(traced)
        small = nncf.compress_weights(graph, mode=mode, group_size=group_size, ratio=1.0)
    ov.save_model(small, out / traced.name)
    for name in ("config.json", "generation_config.json"):
        (traced.parent / name).rename(out / name)
    write_genai_tokenizer(source, out)
