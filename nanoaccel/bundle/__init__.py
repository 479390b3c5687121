"""The bundle: one folder that holds all that a model needs to run, and says what it is.

    bundle/
      nanoaccel.json          the manifest: what follows, with size and sha256 of every file
      openvino/               the graph, config.json, and what OpenVINO GenAI needs to open it
      tokenizer.json ...      tokenizer, chat template, generation defaults

It is the only contract between the exporters and the runtime. Opening one runs no code from it.
"""

from nanoaccel.bundle.files import FileEntry, list_files, sha256_of
from nanoaccel.bundle.folder import DRAFT, Bundle, find_context_length
from nanoaccel.bundle.head import HEAD, Head, HeadManifest
from nanoaccel.bundle.manifest import MANIFEST, SCHEMA_VERSION, Manifest, ModelEntry

__all__ = [
    "DRAFT",
    "HEAD",
    "MANIFEST",
    "SCHEMA_VERSION",
    "Bundle",
    "FileEntry",
    "Head",
    "HeadManifest",
    "Manifest",
    "ModelEntry",
    "find_context_length",
    "list_files",
    "sha256_of",
]
