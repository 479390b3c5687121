"""Metrics as Prometheus reads them; after ``nanoaccel:`` stand vLLM's names where it has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.server.metrics.histogram import Histogram
from nanoaccel.server.metrics.latencies import Latencies

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class ModelState:
    """What is known of a model.

    Args:
        name: Its name.
        counters: Of its engine; None while it is not loaded.
        latencies: Of its completions since the server began.
    """

    name: str
    counters: Counters | None
    latencies: Latencies


def exposition(models: Sequence[ModelState], answers: Sequence[tuple[str, int, int]]) -> str:
    """All metrics.

    Args:
        models: Every model, loaded or not.
        answers: Route, status and count of the answers.
    """
    page = _Page()
    for path, status, count in answers:
        page.add(
            "http_requests_total", "counter", "Answers; status 0 is a client that went away.",
            count, path=path, status=str(status),
        )  # fmt: skip
    for model in models:
        loaded = model.counters is not None
        page.add("model_loaded", "gauge", "1 when it is in memory.", int(loaded), **_named(model))
    for model in models:
        if model.counters is not None:
            _add_counters(page, model.counters, _named(model))
    for model in models:
        prompt_tokens = model.latencies.prompt_tokens.total
        page.add(
            "prompt_tokens_total", "counter", "Tokens of the prompts of ended completions.",
            prompt_tokens, **_named(model),
        )  # fmt: skip
        for name, (help_text, histogram) in _histograms(model.latencies).items():
            page.add_histogram(name, help_text, histogram, **_named(model))
    return page.text()


def _named(model: ModelState) -> dict[str, str]:
    return {"model_name": model.name}


def _add_counters(page: _Page, counters: Counters, labels: Mapping[str, str]) -> None:
    used = counters.owned_blocks / max(1, counters.cache_blocks)
    speculation = counters.speculation
    rows: tuple[tuple[str, str, str, float], ...] = (
        ("num_requests_running", "gauge", "Requests that hold cache.", counters.running),
        ("num_requests_waiting", "gauge", "Requests in the queue.", counters.waiting),
        ("num_tokens_waiting", "gauge", "Their tokens.", counters.waiting_tokens),
        ("kv_cache_usage_perc", "gauge", "Share of the cache that running requests hold.", used),
        ("kv_cache_bytes", "gauge", "Memory of the cache.", counters.cache_bytes),
        ("recurrent_states_owned", "gauge", "Recurrent states that running requests hold.",
         counters.owned_states),
        ("recurrent_states_cached", "gauge", "Recurrent states that can be found again.",
         counters.cached_states),
        ("adapters_loaded", "gauge", "Adapters in memory.", counters.adapters.loaded),
        ("adapter_loads_total", "counter", "Times that one was loaded.", counters.adapters.loads),
        ("adapter_load_seconds_total", "counter", "Seconds that this took.",
         counters.adapters.load_seconds),
        ("num_preemptions_total", "counter", "Requests that gave up their cache for a while.",
         counters.preemptions),
        ("prefix_cache_queries_total", "counter", "Tokens that were looked up in the cache.",
         counters.queried_tokens),
        ("prefix_cache_hits_total", "counter", "Those that were found.", counters.hit_tokens),
        ("prefix_cache_restored_total", "counter", "Those that came from disk.",
         counters.restored_tokens),
        ("generation_tokens_total", "counter", "Tokens that were sampled.",
         counters.generated_tokens),
        ("computed_tokens_total", "counter", "Tokens that went through the model.",
         counters.computed_tokens),
        ("iterations_total", "counter", "Passes through the model.", counters.steps),
        ("requests_total", "counter", "Completions that were queued.", counters.submitted),
        ("requests_refused_total", "counter", "Completions that found the queue full.",
         counters.refused),
        ("spec_decode_num_drafts_total", "counter", "Steps that verified draft tokens.",
         speculation.draft_steps),
        ("spec_decode_num_draft_tokens_total", "counter", "Draft tokens that were verified.",
         speculation.drafted_tokens),
        ("spec_decode_num_accepted_tokens_total", "counter", "Those that were accepted.",
         speculation.accepted_tokens),
    )  # fmt: skip
    for name, kind, help_text, value in rows:
        page.add(name, kind, help_text, value, **labels)
    for reason, count in sorted(counters.finished.items()):
        page.add(
            "request_success_total", "counter", "Completions that ended, by reason.",
            count, **labels, finished_reason=reason,
        )  # fmt: skip


def _histograms(latencies: Latencies) -> dict[str, tuple[str, Histogram]]:
    return {
        "time_to_first_token_seconds": ("To the first token.", latencies.first_token),
        "inter_token_latency_seconds": ("Between two tokens.", latencies.between_tokens),
        "request_queue_time_seconds": ("In the queue.", latencies.queued),
        "e2e_request_latency_seconds": ("From submission to end.", latencies.total),
        "request_prompt_tokens": ("Tokens of a prompt.", latencies.prompt_tokens),
        "request_generation_tokens": ("Tokens of a completion.", latencies.generated_tokens),
        "request_cached_ratio": ("Share of a prompt that the cache had.", latencies.cached),
        "request_acceptance_ratio": (
            "Share of a completion's draft tokens that were accepted.",
            latencies.accepted,
        ),
    }


class _Page:
    """Samples by metric, each metric with its head once."""

    def __init__(self) -> None:
        self._heads: dict[str, str] = {}
        self._samples: dict[str, list[str]] = {}

    def add(self, name: str, kind: str, help_text: str, value: float, **labels: str) -> None:
        self._head(name, kind, help_text).append(_sample(f"nanoaccel:{name}", value, labels))

    def add_histogram(self, name: str, help_text: str, histogram: Histogram, **labels: str) -> None:
        samples = self._head(name, "histogram", help_text)
        full = f"nanoaccel:{name}"
        samples += [
            _sample(f"{full}_bucket", count, {**labels, "le": bound})
            for bound, count in histogram.buckets()
        ]
        samples.append(_sample(f"{full}_sum", histogram.total, labels))
        samples.append(_sample(f"{full}_count", histogram.count, labels))

    def text(self) -> str:
        parts = [
            "\n".join([self._heads[name], *samples]) for name, samples in self._samples.items()
        ]
        return "\n".join(parts) + "\n"

    def _head(self, name: str, kind: str, help_text: str) -> list[str]:
        full = f"nanoaccel:{name}"
        self._heads[name] = f"# HELP {full} {help_text}\n# TYPE {full} {kind}"
        return self._samples.setdefault(name, [])


def _sample(name: str, value: float, labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
