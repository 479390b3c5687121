"""Every extension point: what may be added, by which interface, in which version.

A point's ``interface`` is the protocol of the object that a package names in the entry-point group
``nanoaccel.KIND.vVERSION``; ``makes`` is the protocol of what that object returns when it is
called. ``capabilities`` are methods that an implementation may leave out.
"""

from __future__ import annotations

from nanoaccel.registry.backends import BackendFacts, BackendPoint
from nanoaccel.registry.extension_point import ExtensionPoint
from nanoaccel.registry.named_imports import NamedImports

# Loads a graph and runs ragged batches; says what it is by a BackendFacts of its own.
BACKENDS = BackendPoint(
    version=1,
    interface="nanoaccel.runtime.backends:BackendLoader",
    makes="nanoaccel.runtime.backends:Backend",
    builtin={
        "openvino": "nanoaccel.runtime.backends.openvino:load",
        "onnx": "nanoaccel.runtime.backends.onnxruntime:load",
        "torch": "nanoaccel.reference.torch_backend:load",
        "torch-inductor": "nanoaccel.reference.torch_backend:load_inductor",
        "torch-openvino": "nanoaccel.reference.torch_backend:load_openvino",
    },
    facts={
        "openvino": BackendFacts(
            packages=("openvino",),
            graph="openvino/openvino_model.xml",
            tunes=("quantization_group", "fuse_projections"),
        ),
        "onnx": BackendFacts(
            packages=("onnxruntime",), graph="onnx/model.onnx", own_operators=True
        ),
        "torch": BackendFacts(packages=("torch", "transformers")),
        "torch-inductor": BackendFacts(packages=("torch", "transformers")),
        "torch-openvino": BackendFacts(packages=("torch", "transformers", "openvino")),
    },
    extras=dict.fromkeys(("torch", "torch-inductor", "torch-openvino"), "export"),
)

# Proposes tokens that the model then verifies.
DRAFTERS = ExtensionPoint(
    "drafters",
    version=1,
    interface="nanoaccel.runtime.speculation.drafters:DrafterFactory",
    makes="nanoaccel.runtime.speculation.drafters:Drafter",
    capabilities=("applies", "hidden_layers"),
    builtin={
        "ngram": "nanoaccel.runtime.speculation.drafters.ngram:NgramDrafter",
        "head": "nanoaccel.runtime.speculation.drafters.head:HeadDrafter",
        "draft_model": "nanoaccel.runtime.speculation.drafters.draft_model:ModelDrafter",
    },
)

# Orders the cached blocks by their worth.
EVICTION_POLICIES = ExtensionPoint(
    "eviction_policies",
    version=1,
    interface="nanoaccel.runtime.kv.eviction:EvictionPolicyFactory",
    makes="nanoaccel.runtime.kv.eviction:EvictionPolicy",
    builtin={
        "lru": "nanoaccel.runtime.kv.eviction:LeastRecentlyUsed",
        "lfu": "nanoaccel.runtime.kv.eviction:LeastFrequentlyUsed",
        "cost": "nanoaccel.runtime.kv.eviction:CheapestToCompute",
    },
)

# Changes the logits of requests that ask for it: SamplingParams(processors={"mine": {...}}).
LOGITS_PROCESSORS = ExtensionPoint(
    "logits_processors",
    version=1,
    interface="nanoaccel.runtime.sampling.plugged:ProcessorFactory",
    makes="nanoaccel.runtime.sampling.processors:LogitsProcessor",
)

# Writes what a text must look like in one of llguidance's forms: Grammar("mine", "...").
GRAMMARS = ExtensionPoint(
    "grammars",
    version=1,
    interface="nanoaccel.runtime.sampling.grammar.kinds:GrammarKindFactory",
    makes="nanoaccel.runtime.sampling.grammar.kinds:GrammarKind",
    builtin={
        "json_schema": "nanoaccel.runtime.sampling.grammar.kinds:JsonSchemas",
        "regex": "nanoaccel.runtime.sampling.grammar.kinds:RegularExpressions",
        "choice": "nanoaccel.runtime.sampling.grammar.kinds:Choices",
        "lark": "nanoaccel.runtime.sampling.grammar.kinds:LarkGrammars",
    },
)

# Chooses the numbers of compressed weights: nanoaccel export --method mine.
COMPRESSION_METHODS = ExtensionPoint(
    "compression_methods",
    version=1,
    interface="nanoaccel.exporters.quantize.methods:CompressionMethodFactory",
    makes="nanoaccel.exporters.quantize.methods:CompressionMethod",
    builtin={
        "awq": "nanoaccel.exporters.quantize.methods:Awq",
        "scale-estimation": "nanoaccel.exporters.quantize.methods:ScaleEstimation",
        "gptq": "nanoaccel.exporters.quantize.methods:Gptq",
        "lora-correction": "nanoaccel.exporters.quantize.methods:LoraCorrection",
    },
)

# Gives texts that calibrate and judge: --calibration mine, or mine:WHICH.
CALIBRATION_SOURCES = ExtensionPoint(
    "calibration_sources",
    version=1,
    interface="nanoaccel.calibration.datasets.sources:CalibrationSource",
    builtin={
        "docs": "nanoaccel.calibration.datasets.sources:open_docs",
        "self": "nanoaccel.calibration.datasets.sources:open_own_text",
        "file": "nanoaccel.calibration.datasets.sources:open_file",
        "hub": "nanoaccel.calibration.datasets.sources:open_hub",
    },
)

# Brings models onto this disk: nanoaccel export mine:WHICH.
MODEL_SOURCES = ExtensionPoint(
    "model_sources",
    version=1,
    interface="nanoaccel.exporters.source.places:ModelSource",
    builtin={
        "sample": "nanoaccel.exporters.source.places:find_sample",
        "file": "nanoaccel.exporters.source.places:find_path",
        "hub": "nanoaccel.exporters.source.places:find_on_hub",
    },
)

# Makes the graphs of a bundle: nanoaccel export --runtime mine.
EXPORT_TARGETS = ExtensionPoint(
    "export_targets",
    version=1,
    interface="nanoaccel.exporters.targets.base:GraphTargetFactory",
    makes="nanoaccel.exporters.targets.base:GraphTarget",
    builtin={
        "openvino": "nanoaccel.exporters.targets.openvino.target:OpenVINOTarget",
        "onnx": "nanoaccel.exporters.targets.onnx.target:OnnxTarget",
    },
)

# Decides what an adapter is made of: nanoaccel finetune --method mine.
ADAPTER_METHODS = ExtensionPoint(
    "adapter_methods",
    version=1,
    interface="nanoaccel.finetune.adapters.methods:AdapterMethodFactory",
    makes="nanoaccel.finetune.adapters.methods:AdapterMethod",
    capabilities=("begin",),
    builtin={
        "lora": "nanoaccel.finetune.adapters.methods:Lora",
        "rslora": "nanoaccel.finetune.adapters.methods:RsLora",
        "dora": "nanoaccel.finetune.adapters.methods:Dora",
        "qlora": "nanoaccel.finetune.adapters.methods:QLora",
    },
)

# Hears of every request of every LLM: for metrics and logs.
EVENT_LISTENERS = ExtensionPoint(
    "event_listeners",
    version=1,
    interface="nanoaccel.runtime.types.events:ListenerFactory",
)

# Commands of the program ``nanoaccel``: functions as typer takes them.
COMMANDS = ExtensionPoint("commands", version=1, interface="nanoaccel.cli.plugged:Command")

# Routes of the server, below /plugins/NAME.
SERVER_ROUTES = ExtensionPoint(
    "server_routes", version=1, interface="nanoaccel.server.plugged:RoutesFactory"
)

POINTS: tuple[ExtensionPoint, ...] = (
    BACKENDS,
    DRAFTERS,
    EVICTION_POLICIES,
    LOGITS_PROCESSORS,
    GRAMMARS,
    COMPRESSION_METHODS,
    CALIBRATION_SOURCES,
    MODEL_SOURCES,
    EXPORT_TARGETS,
    ADAPTER_METHODS,
    EVENT_LISTENERS,
    COMMANDS,
    SERVER_ROUTES,
)

# Not for plugins: what a lower layer needs of a higher one.
ENGINE_CHECKS = NamedImports(
    "engine_checks", {"engine": "nanoaccel.evaluation.self_check:ask_engine"}
)

# Gives an ``Operators``: where the compiled operators are, or why they are not used.
OPERATORS = NamedImports("operators", {"native": "nanoaccel.runtime.native:find_operators"})
