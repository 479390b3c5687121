"""Ray Serve's request router for engines: by cached prefix and load."""

from __future__ import annotations

from functools import partial
from typing import Any

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

from nanoaccel.fleet.routing.prompt import PromptOutline
from nanoaccel.fleet.routing.ranking import EngineRanking
from nanoaccel.fleet.serve.engine import CACHE_TOKENS, SPEED
from nanoaccel.fleet.serve.forwarded import Forwarded
from nanoaccel.runtime.replicas.router import Capacity

_UNKNOWN = Capacity(1.0, 1 << 16)  # until the replica has told


class PrefixRouter(RequestRouter):
    """Sends a request where its prompt is computed soonest; see ``EngineRanking``.

    An engine that has no room is passed over for the next one. Each gateway knows of its own
    requests alone.
    """

    def initialize_state(self, **_: Any) -> None:
        """Called by Ray Serve before anything else."""
        self.ranking = EngineRanking()

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Take what there is of replicas now."""
        super().update_replicas(replicas)
        self.ranking.update({_name(one.replica_id): _capacity(one) for one in replicas})

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        """Forget a replica."""
        super().on_replica_actor_died(replica_id)
        self.ranking.lose(_name(replica_id))

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """The replicas, each a rank of its own, the best one first."""
        candidates = {_name(one.replica_id): one for one in candidate_replicas}
        order = self.ranking.ranked(_prompt(pending_request))
        return [[candidates[name]] for name in order if name in candidates]

    def on_request_routed(
        self,
        pending_request: PendingRequest,
        replica_id: ReplicaID,
        result: Any,  # noqa: ARG002 - Ray's signature
    ) -> None:
        """Note that a replica took a request."""
        request = pending_request.metadata.internal_request_id
        self.ranking.sent(request, _name(replica_id), _prompt(pending_request))
        forwarded = _forwarded(pending_request)
        if forwarded is not None:
            forwarded.on_computed = partial(self.ranking.computed, request)

    def on_request_completed(
        self,
        replica_id: ReplicaID,  # noqa: ARG002 - Ray's signature
        internal_request_id: str,
    ) -> None:
        """Note that a request has ended."""
        self.ranking.ended(internal_request_id)


def _name(replica_id: ReplicaID) -> str:
    name: str = replica_id.unique_id
    return name


def _capacity(replica: RunningReplica) -> Capacity:
    told = replica.replica_metadata
    if SPEED not in told:
        return _UNKNOWN
    return Capacity(float(told[SPEED]), int(told[CACHE_TOKENS]))


def _forwarded(request: PendingRequest | None) -> Forwarded | None:
    if request is not None and request.args and isinstance(request.args[0], Forwarded):
        return request.args[0]
    return None


def _prompt(request: PendingRequest | None) -> PromptOutline:
    forwarded = _forwarded(request)
    return PromptOutline.of(b"") if forwarded is None else forwarded.prompt
