"""The files under deploy/ are what their programs take, and agree with the server."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import edge
from nanoaccel.fleet.serve.config import FleetConfig
from nanoaccel.server.config import Limits, ServerConfig

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "nanoaccel.service"
GOODBYE = 10  # seconds that requests get to be told, and connections to be closed


def parse(arguments: list[str]) -> dict[str, Any]:
    """The options of a command line of ``nanoaccel``, by name."""
    import typer

    from nanoaccel.cli.main import app

    group: Any = typer.main.get_command(app)
    name, *rest = arguments
    with group.commands[name].make_context(name, rest) as context:
        return dict(context.params)


def documents(name: str) -> dict[str, Any]:
    """The objects of a manifest, by kind."""
    found = list(yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text()))
    return {one["kind"]: one for one in found}


def settings() -> dict[str, str]:
    lines = [line for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#"]
    return dict(line.split("=", 1) for line in lines)


def test_unit_stops_the_server_later_than_it_drains() -> None:
    unit = settings()
    command = shlex.split(unit["ExecStart"])
    assert Path(command[0]).name == "nanoaccel"
    assert int(unit["TimeoutStopSec"]) > parse(command[1:])["drain"] + GOODBYE
    assert "notify" not in unit["Type"]


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
def test_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    program = tmp_path / "nanoaccel"
    program.touch(0o755)
    unit = tmp_path / "nanoaccel.service"
    unit.write_text(UNIT.read_text().replace("/opt/nanoaccel/bin/nanoaccel", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_replicas_are_run_as_the_server_is() -> None:
    found = documents("replicas.yaml")
    assert set(found) == {"Deployment", "Service", "PodDisruptionBudget"}
    pod = found["Deployment"]["spec"]["template"]
    container = pod["spec"]["containers"][0]
    options = parse(container["args"])
    assert options["port"] == container["ports"][0]["containerPort"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod["spec"]["terminationGracePeriodSeconds"]
    assert grace >= pause + options["drain"] + GOODBYE
    assert container["resources"]["requests"] == container["resources"]["limits"]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["spec"]["volumes"]}


def test_ray_service_starts_the_application_with_arguments_that_it_has() -> None:
    spec = documents("rayservice.yaml")["RayService"]["spec"]
    application = yaml.safe_load(spec["serveConfigV2"])["applications"][0]
    module, name = application["import_path"].split(":")
    assert (ROOT / module.replace(".", "/") / "__init__.py").exists()
    assert name == "app"
    config = FleetConfig.from_args(application["args"])
    assert config.max_engines is not None
    server: ServerConfig = config.server()
    cluster = spec["rayClusterConfig"]
    workers = cluster["workerGroupSpecs"][0]
    assert workers["maxReplicas"] >= config.max_engines >= workers["minReplicas"]
    pod = workers["template"]["spec"]
    assert float(pod["containers"][0]["resources"]["limits"]["cpu"]) == config.cpus
    assert pod["terminationGracePeriodSeconds"] >= GOODBYE + config.drain + GOODBYE
    pinned = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert cluster["rayVersion"] == pinned[1]
    assert server.drain == config.drain


def test_proxy_passes_streams_and_bodies_as_the_server_takes_them() -> None:
    text = (DEPLOY / "nginx.conf").read_text()
    assert "proxy_buffering off;" in text
    assert f"client_max_body_size {Limits().body_bytes >> 20}m;" in text


@pytest.mark.parametrize("name", ["Containerfile", "Containerfile.ray"])
def test_container_copies_what_the_package_is_built_from(name: str) -> None:
    text = (DEPLOY / name).read_text()
    copied = " ".join(re.findall(r"^COPY (?!--)(.+)$", text, re.MULTILINE)).split()
    assert {"pyproject.toml", "native", "nanoaccel", "constraints.txt"} <= set(copied)
    for path in copied:
        assert path == "./" or (ROOT / path).exists()
    project = (ROOT / "pyproject.toml").read_text()
    extras = re.findall(r"^ARG EXTRAS=(.+)$", text, re.MULTILINE)
    assert all(f"\n{extra} = [" in project for extra in ",".join(extras).split(",") if extra)


def test_container_runs_what_it_was_built_with() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    build, base = re.findall(r"^ARG B[A-Z]+=(.+)$", text, re.MULTILINE)
    assert "python:3.11-" in build  # which is the Python of Debian 12
    assert "debian12" in base
    runtime = re.search(r"^ARG RUNTIME=(.+)$", text, re.MULTILINE)
    assert runtime is not None
    assert runtime[1] in edge.BACKENDS
    assert parse(["serve", "/models"])["port"] == int(re.findall(r":(\d+)/health", text)[0])
