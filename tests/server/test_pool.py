"""Which bundles are loaded: on demand, within the memory, never closed while in use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from support.fake_llms import WatchedBackend, write_bundle
from support.servers import serving

from nanoaccel.errors import BundleError, ConfigError
from nanoaccel.server.api_error import ApiError
from nanoaccel.server.models.model import Model
from nanoaccel.server.models.pool import ModelPool

CACHE = 64


def folders(root: Path, *names: str) -> tuple[Path, ...]:
    """Bundles with weights of 1,000 bytes each."""
    made = [write_bundle(root / name) for name in names]
    for folder in made:
        (folder / "openvino_model.bin").write_bytes(b"0" * 1000)
    return tuple(made)


def load(name: str, bundle: Path) -> Model:
    return Model(name, bundle, {"kv_cache_memory": CACHE})


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 20))


def loaded(pool: ModelPool) -> list[str]:
    return [entry.name for entry in pool.entries if entry.model is not None]


async def touch(pool: ModelPool, name: str) -> None:
    async with pool.use(name):
        pass


@pytest.fixture
def bundles(tmp_path: Path, backends: list[WatchedBackend]) -> tuple[Path, ...]:  # noqa: ARG001
    return folders(tmp_path, "a", "b", "c")


def test_pool_loads_what_is_asked_for_once(
    bundles: tuple[Path, ...], backends: list[WatchedBackend]
) -> None:
    async def test() -> None:
        pool = ModelPool(bundles, load)
        await asyncio.gather(*(touch(pool, "b") for _ in range(5)))
        assert (loaded(pool), len(backends)) == (["b"], 1)
        await touch(pool, "a")
        assert loaded(pool) == ["a", "b"]
        await pool.close()
        assert [backend.closings for backend in backends] == [1, 1]

    run(test)


def test_pool_closes_the_one_that_is_idle_longest(bundles: tuple[Path, ...]) -> None:
    async def test() -> None:
        pool = ModelPool(bundles, load, memory=2500)
        for name in ("a", "b", "a", "c"):
            await touch(pool, name)
        assert loaded(pool) == ["a", "c"]
        await pool.close()

    run(test)


def test_pool_waits_for_models_in_use_and_takes_turns(bundles: tuple[Path, ...]) -> None:
    async def test() -> None:
        pool = ModelPool(bundles, load, memory=1500)
        order: list[str] = []

        async def use(name: str) -> None:
            async with pool.use(name):
                order.append(name)

        async with pool.use("a"):
            other = asyncio.create_task(use("b"))
            await asyncio.sleep(0.05)
            late = asyncio.create_task(use("a"))
            await asyncio.sleep(0.05)
            assert (order, loaded(pool)) == ([], ["a"])
        await asyncio.gather(other, late)
        assert order == ["b", "a"]
        await pool.close()

    run(test)


def test_pool_forgets_who_no_longer_waits(bundles: tuple[Path, ...]) -> None:
    async def test() -> None:
        pool = ModelPool(bundles, load, memory=1500)
        async with pool.use("a"):
            other = asyncio.create_task(touch(pool, "b"))
            await asyncio.sleep(0.05)
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)
            await touch(pool, "a")
        assert loaded(pool) == ["a"]
        await pool.close()

    run(test)


def test_pool_closes_idle_models_after_a_while(bundles: tuple[Path, ...]) -> None:
    async def test() -> None:
        pool = ModelPool(bundles, load, keep_alive=0)
        await touch(pool, "a")
        async with pool.use("b"):
            await pool.close_idle()
            assert loaded(pool) == ["b"]
        await pool.close_idle()
        assert loaded(pool) == []
        await pool.close()

    run(test)


def test_pool_tells_of_a_model_that_cannot_be_loaded(bundles: tuple[Path, ...]) -> None:
    def fail(name: str, bundle: Path) -> Model:
        if name == "b":
            raise BundleError(f"{bundle} is broken", "Mend it")
        return load(name, bundle)

    async def test() -> None:
        pool = ModelPool(bundles, fail)
        for _ in range(2):
            with pytest.raises(ApiError) as caught:
                await touch(pool, "b")
            assert caught.value.status == 503
            assert str(bundles[1]) not in caught.value.message
        await touch(pool, "a")
        await pool.close()
        with pytest.raises(ApiError):
            await touch(pool, "a")

    run(test)


def test_pool_refuses_what_cannot_be(bundles: tuple[Path, ...], tmp_path: Path) -> None:
    async def test() -> None:
        with pytest.raises(ConfigError, match="two bundles are named 'a'"):
            ModelPool((*bundles, *folders(tmp_path / "other", "a")), load)
        with pytest.raises(ConfigError, match="more than memory=999"):
            ModelPool(bundles, load, memory=999)
        with pytest.raises(ConfigError, match="takes 1064 bytes with its cache"):
            ModelPool(bundles, load, memory=1050, cache_memory=CACHE)
        with pytest.raises(BundleError):
            ModelPool((tmp_path / "nowhere",), load)

    run(test)


def test_server_has_several_models(bundles: tuple[Path, ...]) -> None:
    with serving(*bundles) as served:
        listed = served.get("/v1/models").json["data"]
        assert [(one["id"], one["loaded"]) for one in listed] == [
            ("a", True), ("b", False), ("c", False),
        ]  # fmt: skip
        asked = {"model": "c", "prompt": "a", "max_tokens": 1}
        assert served.post("/v1/completions", asked).json["model"] == "c"
        assert served.get("/v1/models/c").json["loaded"]


def test_caches_share_the_memory(bundles: tuple[Path, ...]) -> None:
    with serving(*bundles, memory=3000) as served:
        for name in ("a", "b", "c"):
            asked = {"model": name, "prompt": "a", "max_tokens": 1}
            assert served.post("/v1/completions", asked).status == 200
        listed = served.get("/v1/models").json["data"]
        assert [one["id"] for one in listed if one["loaded"]] == ["c"]
        assert 'kv_cache_bytes{model_name="c"} 736' in served.get("/metrics").body.decode()
