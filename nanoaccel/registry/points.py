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
