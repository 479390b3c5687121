"""Prometheus' files ask for metrics that the server has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.examples import EXAMPLES

from nanoaccel import LLM
from nanoaccel.server.metrics.exposition import ModelState, exposition
from nanoaccel.server.metrics.latencies import Latencies


def read(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / "monitoring" / name).read_text())


def rules() -> list[dict[str, Any]]:
    return [rule for group in read("alerts.yml")["groups"] for rule in group["rules"]]


@pytest.mark.export
def test_rules_ask_for_metrics_and_labels_that_there_are(tiny_bundle: Path) -> None:
    with LLM(tiny_bundle) as llm:
        page = exposition([ModelState("m", llm.counters(), Latencies())], [("/", 200, 1)])
    known = set(re.findall(r"^(nanoaccel:\w+)", page, re.MULTILINE))
    labels = {*re.findall(r'[{,](\w+)="', page), "le", "instance", "job"}
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        asked = set(re.findall(r"nanoaccel:\w+", rule["expr"]))
        assert asked <= known | recorded, rule
        assert set(re.findall(r"(\w+)=~?\"", rule["expr"])) <= labels, rule
        for by in re.findall(r"by \(([^)]*)\)", rule["expr"]):
            assert set(by.split(", ")) <= labels, rule
    assert not recorded & known


def test_prometheus_reads_the_rules_and_the_metrics() -> None:
    found = read("prometheus.yml")
    assert found["rule_files"] == ["alerts.yml"]
    assert [job["metrics_path"] for job in found["scrape_configs"]] == ["/metrics"]
    jobs = {job["job_name"] for job in found["scrape_configs"]}
    named = {job for rule in rules() for job in re.findall(r'job="(\w+)"', rule["expr"])}
    assert named <= jobs
