"""One order of arguments, environment, files and defaults, and one table of all settings."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.configure import configure
from nanoaccel.server.config import ServerConfig
from nanoaccel.server.configure import configure_parsers, configure_server
from nanoaccel.settings import SETTINGS, Found, resolve, setting

# What a bundle or a machine decides, and no file for all of them.
_ONLY_ARGUMENTS = {"adapters", "cache_eviction"}
_ONLY_TUNED = {"quantization_group", "fuse_projections"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only nanoaccel.toml that counts."""
    for item in SETTINGS:
        if item.variable != "NANOACCEL_CACHE":
            monkeypatch.delenv(item.variable, raising=False)
    path = tmp_path / "nanoaccel.toml"
    path.write_text("")
    monkeypatch.setenv("NANOACCEL_CONFIG", str(path))
    return path


def keys(table: str) -> set[str]:
    return {item.key for item in SETTINGS if item.table == table}


def test_table_has_all_options() -> None:
    engine = {item.name for item in fields(EngineConfig)} - _ONLY_ARGUMENTS - _ONLY_TUNED
    assert keys("engine") == (engine - {"engines"}) | {"backend", "replicas"}
    server = {item.name for item in fields(ServerConfig)}
    assert keys("server") == (server - {"bundles", "engine", "ping", "limits"}) | {"api_key_file"}
    variables = [item.variable for item in SETTINGS]
    assert len(set(variables)) == len(variables)
    assert "NANOACCEL_PORT" not in variables  # Kubernetes sets it to an address


def test_resolve_takes_arguments_then_environment_then_files(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve("engine").found == {}
    file.write_text("[engine]\nmax_running = 2")
    assert resolve("engine").found == {"max_running": Found(2, "file", f"{file}, line 2")}
    monkeypatch.setenv("NANOACCEL_MAX_RUNNING", " ")
    assert resolve("engine").values == {"max_running": 2}
    monkeypatch.setenv("NANOACCEL_MAX_RUNNING", "3")
    assert resolve("engine").found == {
        "max_running": Found(3, "environment", "NANOACCEL_MAX_RUNNING")
    }
    asked = {"max_running": 4, "adapters": {}, "threads": None}
    assert resolve("engine", asked).found == {"max_running": Found(4, "argument")}


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("threads", "1", None),  # the plan of threads reads it
        ("prefix_cache", "no", False),
        ("time_per_token", "0.5", 0.5),
        ("kv_cache_memory", "2MB", 2_000_000),
        ("kv_cache_memory", "300", 300),
        ("prompt_cache", "some/where", Path("some/where")),
        ("precision", "f32", "f32"),
    ],
)
@pytest.mark.usefixtures("file")
def test_configure_reads_variables(
    key: str, text: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"NANOACCEL_{key.upper()}", text)
    asked = configure({})
    assert getattr(asked.engine, key) == value
    assert asked.resolved.found[key].place == f"NANOACCEL_{key.upper()}"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("NANOACCEL_MAX_RUNNING", "many"),
        ("NANOACCEL_PREFIX_CACHE", "perhaps"),
        ("NANOACCEL_KV_CACHE_MEMORY", "much"),
        ("NANOACCEL_REPLICAS", "two"),
    ],
)
@pytest.mark.usefixtures("file")
def test_configure_refuses_wrong_variables(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigError, match=f"{variable}='{text}' has the wrong type. Write"):
        configure({})


def test_configure_gives_threads_of_files_below_usable_ones_of_the_environment(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("[engine]\nthreads = 1")
    monkeypatch.setenv("NANOACCEL_THREADS", "lots")  # which the plan of threads ignores
    assert configure({}).engine.threads == 1
    monkeypatch.setenv("NANOACCEL_THREADS", "1")
    assert configure({}).engine.threads is None
    assert configure({"threads": 1}).engine.threads == 1


def test_configure_names_the_place_of_values_out_of_range(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("# mine\n[engine]\nprecision = 'f99'")
    with pytest.raises(ConfigError, match=r"nanoaccel\.toml, line 3: precision='f99' is unknown"):
        configure({})
    monkeypatch.setenv("NANOACCEL_PRECISION", "f98")
    with pytest.raises(ConfigError, match=r"NANOACCEL_PRECISION: precision='f98' is unknown"):
        configure({})
    with pytest.raises(ConfigError, match=r"^precision='f97' is unknown"):
        configure({"precision": "f97"})


def test_paths_in_files_begin_at_the_file(file: Path) -> None:
    file.write_text('cache = "here"\n[engine]\nprompt_cache = "~/there"\ndraft = "/far"')
    assert configure({}).engine.prompt_cache == Path.home() / "there"
    assert configure({}).engine.draft == Path("/far")
    assert resolve("", environment={}).values == {"cache": file.parent / "here"}


def test_lines_are_found_in_tables_and_in_dotted_keys(file: Path) -> None:
    file.write_text('server.port = 1\n\n[log]\n"level" = "info"\n[ engine ]\nthreads=1')
    for name, line in (("server.port", 1), ("log.level", 4), ("engine.threads", 6)):
        found = setting(name)
        assert found is not None
        assert found.place == f"{file}, line {line}"


def test_server_takes_what_is_set(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys_file = file.with_name("keys")
    keys_file.write_text("from-file # a comment\n")
    file.write_text(
        "[server]\nport = 1\ndrain = 2\napi_key_file = 'keys'\ntool_parser = 'hermes'\n"
        "[engine]\nmax_running = 5\nkv_cache_memory = '1MB'"
    )
    monkeypatch.setenv("NANOACCEL_API_KEY", "one two")
    found = configure_server((file,), {"max_waiting": 7}, {"drain": 3, "host": None})
    assert (found.port, found.drain, found.host) == (1, 3, "127.0.0.1")
    assert found.api_keys == ("one", "two", "from-file")
    assert (found.max_running, found.cache_memory) == (5, 1_000_000)
    assert found.engine == {"max_running": 5, "max_waiting": 7, "kv_cache_memory": 1_000_000}
    alone = configure_parsers((file,), {}, {})
    assert (alone.tool_parser, alone.api_keys, alone.port) == ("hermes", (), 8080)


def test_llm_runs_with_what_is_set(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nanoaccel.runtime import llm

    given: list[Any] = []

    def refuse(*arguments: Any) -> None:
        given.extend(arguments)
        raise ConfigError("max_step_tokens=9 is too much for this one", "Lower it")

    monkeypatch.setattr(llm, "open_client", refuse)
    file.write_text("[engine]\nbackend = 'onnx'\nmax_step_tokens = 9\nmax_running = 3")
    with pytest.raises(ConfigError, match=r"line 3: max_step_tokens=9 is too much"):
        llm.LLM("bundle", max_running=4)
    _, backend, config, _, replicas = given
    assert (backend, replicas) == ("onnx", "auto")
    assert config == EngineConfig(max_step_tokens=9, max_running=4)
