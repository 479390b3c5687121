"""Opens a graph in ONNX Runtime."""

from __future__ import annotations

import re
from pathlib import Path

import onnxruntime as ort

from nanoaccel.bundle import packed_graph as contract
from nanoaccel.errors import BundleDamagedError, BundleError
from nanoaccel.runtime.backends.onnxruntime.operators import Rewritten
from nanoaccel.runtime.cpu.runtimes import onnxruntime_options
from nanoaccel.runtime.cpu.workload import ThreadPlan
from nanoaccel.runtime.native import Operators

_PROVIDERS = ["CPUExecutionProvider"]
_FATAL_ONLY = 4  # errors come as exceptions, and would be told twice, in colors
_UNKNOWN_OPERATOR = re.compile(r"(\S+?)\(-?\d+\) is not a registered function/op")
_UNKNOWN_OPSET = re.compile(r"opset (\d+) is under development|opset (\d+)", re.IGNORECASE)
_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
_MISSING_DATA = re.compile(r"(\S+\.data)\b")

# What it says before any session has options, such as which devices it looked for.
ort.set_default_logger_severity(_FATAL_ONLY)


def open_session(
    graph: Path,
    plan: ThreadPlan,
    operators: Operators,
    rewritten: Rewritten | None,
    profile: Path | None = None,
) -> ort.InferenceSession:
    """Load a graph.

    Args:
        graph: The .onnx file.
        plan: How it uses the machine.
        operators: What a rewritten graph needs.
        rewritten: The graph with these operators, if it is not run as it is.
        profile: Where it writes what each operator takes: the begin of a file's name.

    Raises:
        BundleDamagedError: The file or its weights cannot be read.
        BundleError: It needs operators that this ONNX Runtime has not.
    """
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    chosen = onnxruntime_options(plan)
    options.intra_op_num_threads = chosen.intra_op_num_threads
    options.inter_op_num_threads = chosen.inter_op_num_threads
    for name, value in chosen.config_entries.items():
        options.add_session_config_entry(name, value)
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    if not graph.is_file():
        raise BundleDamagedError(f"{graph} is missing", "Export the model again")
    try:
        if rewritten is None:
            return ort.InferenceSession(str(graph), options, providers=_PROVIDERS)
        options.register_custom_ops_library(str(operators.library))
        options.add_session_config_entry(_WEIGHTS_FOLDER, str(graph.parent))
        return ort.InferenceSession(rewritten.model, options, providers=_PROVIDERS)
    except Exception as error:  # its exceptions have no common base
        raise _explained(graph, str(error), operators) from error


def without_operators(graph: Path, reason: str) -> BundleError:
    """The error of a graph with recurrent states that NanoAccel's operators do not compute.

    Args:
        graph: Its file.
        reason: Why they do not.
    """
    return BundleError(
        f"{graph} has recurrent states, which only NanoAccel's operators compute on ONNX Runtime "
        f"({reason})",
        "Run the bundle on OpenVINO; 'nanoaccel doctor' says more",
    )


def _explained(graph: Path, reason: str, operators: Operators) -> BundleError:
    """The error of a session that does not open, in words."""
    version = ort.__version__
    unknown = _UNKNOWN_OPERATOR.search(reason)
    if unknown is not None and unknown.group(1).startswith(contract.OWN_DOMAIN):
        if operators.library is None:
            return without_operators(graph, f"operators: {operators.described()}")
        return BundleError(
            f"{operators.library} has not the operator {unknown.group(1)}: it was compiled from "
            "other sources",
            "Install NanoAccel again, or run: python native/build.py",
        )
    if unknown is not None:
        return BundleError(
            f"{graph} needs the operator {unknown.group(1)}, which onnxruntime {version} has not",
            "Upgrade onnxruntime",
        )
    opset = _UNKNOWN_OPSET.search(reason)
    if opset is not None:
        return BundleError(
            f"{graph} needs operators of opset {opset.group(1) or opset.group(2)}, which "
            f"onnxruntime {version} has not",
            "Upgrade onnxruntime",
        )
    data = _MISSING_DATA.search(reason)
    if data is not None:
        return BundleDamagedError(
            f"{graph}: its weights {Path(data.group(1)).name} are missing or damaged",
            "Copy the folder again, with all its files, or export the model again",
        )
    lines = reason.strip().splitlines() or ["no reason given"]
    return BundleDamagedError(
        f"ONNX Runtime {version} cannot read {graph}: {lines[0]}", "Export the model again"
    )
