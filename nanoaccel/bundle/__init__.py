"""The bundle: one folder that holds all that a model needs to run, and says what it is.

    bundle/
      nanoaccel.json          the manifest: what follows, with size and sha256 of every file
      openvino/               the graph, config.json, and what OpenVINO GenAI needs to open it
      onnx/                   beside it, or instead: the graph for ONNX Runtime
      tokenizer.json ...      tokenizer, chat template, generation defaults

It is the only contract between the exporters and the runtime. Opening one runs no code from it.
"""

from nanoaccel.bundle.context import find_context_length
from nanoaccel.bundle.files import FileEntry, list_files, sha256_of
from nanoaccel.bundle.folder import DRAFT, Bundle
from nanoaccel.bundle.graph_files import (
    MODEL_CONFIG,
    exact_graph,
    weights_file,
    weights_files,
    weights_size,
)
from nanoaccel.bundle.head import HEAD, Head, HeadGraph, HeadManifest
from nanoaccel.bundle.manifest import MANIFEST, GraphEntry, Manifest, ModelEntry

__all__ = [
    "DRAFT",
    "HEAD",
    "MANIFEST",
    "MODEL_CONFIG",
    "Bundle",
    "FileEntry",
    "GraphEntry",
    "Head",
    "HeadGraph",
    "HeadManifest",
    "Manifest",
    "ModelEntry",
    "exact_graph",
    "find_context_length",
    "list_files",
    "sha256_of",
    "weights_file",
    "weights_files",
    "weights_size",
]
