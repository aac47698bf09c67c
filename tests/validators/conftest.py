"""The lab (tests/lab.py) for the tests of this room."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from tests import lab as _lab
from tests.lab import iris, lab, lab_module

__all__ = ["iris", "lab", "lab_module"]


class Network:
    """A real node, which mines and answers over HTTP, with four validators as services in threads of this process."""

    def __init__(self, folder: Path) -> None:
        from chain.client import NodeClient
        from chain.node import running
        from chain.params import Genesis
        from chain.schema import Address
        from chain.wallets import Wallets
        from validators import service
        from validators.service import ValidatorSettings

        self.folder = folder
        self.lab = _lab.Lab(folder / "lab")  # for its keys, its store and what it knows of honest work
        wallets = Wallets(folder / "wallets")
        self.validators = [wallets.create(f"validator-{number}") for number in range(4)]
        people = [self.lab.owner, self.lab.alice, self.lab.bob]
        self.genesis = Genesis(
            "development", int(time.time() * 1000), tuple(key.address for key in self.validators),
            tuple(sorted((key.address, 1_000_000) for key in people)), "validators' tests",
        )  # fmt: skip
        self.stop = threading.Event()
        self.threads: list[threading.Thread] = []
        self.statuses: list[int] = []
        ports: Queue[int] = Queue()
        miner = Address("0x" + "ab" * 20)
        self._start(
            lambda: running.run(folder / "node", "127.0.0.1", 0, self.genesis, miner, self.stop, ports.put)
        )
        self.node = NodeClient(f"http://127.0.0.1:{ports.get(timeout=30)}")
        for number in range(4):
            name = f"validator-{number}"
            settings = ValidatorSettings(
                name, self.node.url, self.lab.where, folder / "wallets", name, folder / name, folder / f"cache-{name}"
            )
            self._start(lambda settings=settings: self.statuses.append(service.run(settings, self.stop)))
        self._lend(self.lab)

    def _start(self, work: Callable[[], object]) -> None:
        self.threads.append(threading.Thread(target=work, daemon=True))
        self.threads[-1].start()

    def _lend(self, lab: Any) -> None:
        """Let what the lab can do happen on the real node."""
        node = self.node

        def send(payload: Any, key: Any) -> str:
            sent = node.send(payload, key)
            node.wait_transaction(sent)
            return sent

        lab.send = send
        lab.context = lambda key: _context(self.folder, key, node, lab.store)

    def job(self, **changes: Any) -> str:
        """An open job whose seed is drawn."""
        lab = self.lab
        spec = _lab.check_spec(_lab.NAIVE_BAYES, "classification")
        fields: dict[str, Any] = {
            "dataset": "iris", "estimator": spec, "partitions": 2, "rounds": 1, "partitioning": '{"scheme":"disjoint"}',
            "aggregation": "merge", "minimum_updates": 2, "attempts": 2, "round_ms": 600_000, "vote_ms": 600_000,
        }  # fmt: skip
        job: str = lab.send(_lab.OpenJob("iris", **(fields | changes)), lab.owner)
        _lab.until(lambda: self.node.job(job).seed is not None)
        return job

    def work(self, job: str) -> None:
        for partition, key in enumerate((self.lab.alice, self.lab.bob)):
            assert _lab.train_partition(self.lab.context(key), job, 0, 0, partition) == "submitted"
        _lab.until(lambda: self.node.job(job).round_list[0].closed is not None)
        assert _lab.aggregate_round(self.lab.context(self.lab.alice), job, 0, 0) == "submitted"

    def final(self, job: str) -> Any:
        """The job once its end is final."""
        _lab.until(lambda: not self.node.job(job).is_open and self.node.job_view(job).final, 60)
        return self.node.job(job)


def _context(folder: Path, key: Any, node: Any, store: Any) -> Any:
    cache = folder / f"cache-{key.address}"
    cache.mkdir(exist_ok=True)
    return _lab.WorkerContext(key, node, store, cache)


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("validators")
    (folder / "lab").mkdir()
    found = Network(folder)
    found.lab.register()
    yield found
    found.stop.set()
    for thread in found.threads:
        thread.join(15)
    assert [thread for thread in found.threads if thread.is_alive()] == []
    assert found.statuses == [0] * 4
