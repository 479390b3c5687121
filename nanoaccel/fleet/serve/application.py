"""The application that ``serve run`` and RayService start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, RequestRouterConfig

from nanoaccel.fleet.serve.autoscaling import QueuedTokens
from nanoaccel.fleet.serve.config import FleetConfig
from nanoaccel.fleet.serve.engine import Engine
from nanoaccel.fleet.serve.gateway import Gateway
from nanoaccel.fleet.serve.router import PrefixRouter

_GATEWAY_REQUESTS = 4096


def app(args: Mapping[str, Any]) -> Application:
    """OpenAI's API over the engines of a cluster, one on each node.

    Args:
        args: As ``FleetConfig`` has them.

    Raises:
        ConfigError: An argument is unknown or wrong.
    """
    config = FleetConfig.from_args(args)
    config.server()  # refuses what cannot be served, before nodes are asked for
    deployment = cast(Any, serve.deployment)  # its annotation lacks classes
    engines = deployment(
        Engine,
        name="Engine",
        ray_actor_options={"num_cpus": config.cpus},
        max_replicas_per_node=1,
        max_ongoing_requests=config.max_requests,
        graceful_shutdown_timeout_s=config.drain,
        request_router_config=_router(),
        **_scale(config),
    )
    gateway = deployment(
        serve.ingress()(Gateway),
        name="Gateway",
        num_replicas=config.gateways,
        max_ongoing_requests=_GATEWAY_REQUESTS,
        ray_actor_options={"num_cpus": 0},
    )
    application: Application = gateway.bind(engines.bind(config))
    return application


def _router() -> RequestRouterConfig:
    return cast(Any, RequestRouterConfig)(request_router_class=PrefixRouter)  # type: ignore[no-any-return]


def _scale(config: FleetConfig) -> dict[str, Any]:
    if config.max_engines is None:
        return {"num_replicas": config.min_engines}
    policy = cast(Any, AutoscalingPolicy)(
        policy_function=_path(QueuedTokens),
        policy_kwargs={"max_running": config.max_running, "queued_tokens": config.queued_tokens},
    )
    scaling = AutoscalingConfig(
        min_replicas=config.min_engines, max_replicas=config.max_engines, policy=policy
    )
    return {"autoscaling_config": scaling}


def _path(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"
