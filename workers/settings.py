"""What a worker is told when it starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from chain.client import NodeClient
from chain.keys import Key
from chain.wallets import Wallets
from ipfs import open_store
from runtime import broker, numeric
from workers import heartbeat
from workers.context import SessionFactory, WorkerContext, open_session


@dataclass(frozen=True)
class WorkerSettings:
    """`node`, `store` and `broker` (as Celery writes it) say where these are; `wallets` and `wallet` name the
    key; `cache` is a folder that only this worker writes; `memory` bounds the training process's data in
    bytes, None for no bound. It is the kernel's RLIMIT_DATA, which Linux holds for all private memory; macOS
    accepts it and does not, so there a training that needs too much is ended by the system or by nobody."""

    name: str
    node: str
    store: str
    broker: str
    wallets: Path
    wallet: str
    cache: Path
    memory: int | None = None
    new_session: SessionFactory = open_session

    @property
    def redis(self) -> str:
        """The broker's URL as redis-py writes it."""
        return broker.client_url(self.broker)

    def load_key(self) -> Key:
        """The worker's key. Raises `chain.errors.WalletError`."""
        return Wallets(self.wallets).load(self.wallet)

    def open_client(self) -> NodeClient:
        """A client of the node."""
        return NodeClient(self.node)

    def open_context(self) -> WorkerContext:
        """Clients, store and key for the process that calls it."""
        self.cache.mkdir(parents=True, exist_ok=True)
        return WorkerContext(
            key=self.load_key(),
            client=self.open_client(),
            store=open_store(self.store),
            cache=self.cache,
            new_session=self.new_session,
        )

    def warm_up(self, genesis: str) -> None:
        """In the pool's process: bound its memory, load the learning libraries, report ready to the network with this
        genesis hash."""
        import learning.session  # noqa: F401 - imported here so that the first task need not wait for it
        from learning.environment import environment_id

        numeric.check()
        if self.memory is not None:
            bound_memory(self.memory)
        address = self.load_key().address
        heartbeat.announce(self.redis, genesis, address, self.name, os.getppid(), environment_id())


def bound_memory(limit: int) -> None:
    """Let this process have at most so many bytes of data, what it has already included; beyond it, allocations fail
    with `MemoryError`. A lower bound that was there stays."""
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    known = [bound for bound in (soft, hard, limit) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(known), hard))
