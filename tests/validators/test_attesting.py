"""Validators on a running node attest what they see become final, until it has its certificate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from chain.certificates import certificate_of, verify
from chain.client import EventPage, NodeClient
from chain.encoding import cid_of
from chain.keys import Key
from chain.node import running
from chain.params import Genesis
from chain.schema import Address, Cid, Hash
from chain.state import (
    Attested,
    ValidatorSet,
    record_digest,
)
from chain.transactions import (
    AdmitValidator,
    ClaimPartition,
    OpenJob,
    RegisterDataset,
    RegisterModel,
    SubmitAggregate,
    SubmitUpdate,
    VoteModel,
)
from chain.voting import VoteFile
from validators import service
from validators.attester import Attester
from validators.checkpoints import CheckpointVoter
from validators.contact import Contact

ENVIRONMENT = Hash("e" * 64)
KEYS = [Key(bytes([number]) * 32) for number in range(1, 5)]
OWNER, WORKER = Key(b"\x21" * 32), Key(b"\x22" * 32)
SET = ValidatorSet(0, tuple(sorted(key.address for key in KEYS)), (1, 1, 1, 1))


def cid(text: str) -> Cid:
    return Cid(cid_of(text.encode()))


@dataclass
class Network:
    """A node over HTTP. `validate` starts a validator but for its judging."""

    node: NodeClient
    genesis: Genesis
    folder: Path
    stop: threading.Event
    threads: list[threading.Thread]

    def validate(self, key: Key, stop: threading.Event | None = None) -> None:
        stop = stop or self.stop
        client, wake, contact = NodeClient(self.node.url), threading.Event(), Contact()
        each = Attester(NodeClient(self.node.url), key)
        path = self.folder / f"{key.address}.json"
        votes = VoteFile(path, key.address, create=not path.exists())

        def seen(found: EventPage) -> None:
            if each.notice(found):
                wake.set()

        def follow() -> None:
            with votes:
                service._follow(client, CheckpointVoter(client, key, votes), contact, seen, stop)
            wake.set()

        for work in (follow, lambda: service._attest(each, contact, wake, stop)):
            self.threads.append(threading.Thread(target=work, daemon=True))
            self.threads[-1].start()

    def until(self, holds: Callable[[], Any], seconds: float = 30) -> Any:
        deadline = time.monotonic() + seconds
        after = self.node.events().next
        while not (found := holds()):
            if time.monotonic() > deadline:
                log = (self.folder / "blockchain.log").read_text().splitlines()[-20:]
                pytest.fail("\n".join(["it did not come to it in time; finality:", str(self.node.finality()), *log]))
            after = self.node.events(after, wait=0.5).next
        return found

    def send(self, key: Key, payload: Any) -> Cid:
        sent = self.node.send(payload, key)
        self.node.wait_transaction(sent, "included")
        return Cid(sent)

    def adopt(self) -> None:
        """From nothing to a version of a model that nobody has trained: whoever votes, approves."""
        dataset = RegisterDataset("iris", cid("iris"), cid("manifest"), 150, "species", "classification")
        self.send(OWNER, dataset)
        policy = RegisterModel(
            "flowers", ("iris",), "classification", "accuracy", 1, 0, 1_000_000, 200_000, None, cid("statistics"),
            (ENVIRONMENT,), (), (),
        )  # fmt: skip
        self.send(OWNER, policy)
        spec = OpenJob(
            "flowers", "iris", '{"class":"sklearn.linear_model.Ridge","params":{}}', 1, 1, '{"scheme":"disjoint"}',
            "average", 1, 1, 60_000, 60_000,
        )  # fmt: skip
        job = self.send(OWNER, spec)
        self.until(lambda: (found := self.node.job(job)) is not None and found.seed is not None)
        self.send(WORKER, ClaimPartition(job, 0, 0, 0))
        opened = self.node.job(job)
        assert opened is not None
        assert opened.seed is not None
        update = SubmitUpdate(job, 0, 0, 0, opened.seed, None, cid("update"), 30, 900_000, 20, ENVIRONMENT)
        sent = self.send(WORKER, update)
        self.send(WORKER, SubmitAggregate(job, 0, 0, (sent,), cid("candidate"), 950_000, ENVIRONMENT))
        shown = self.node.job(job)
        assert shown is not None
        assert shown.candidate is not None
        vote = VoteModel(
            job, 0, shown.candidate.artifact, 0, record_digest(shown), "approve", shown.candidate.score, None,
            shown.update_ids, (), (), "", "bytes", ENVIRONMENT, "",
        )  # fmt: skip
        for key in KEYS[:3]:
            self.node.send(vote, key)
        self.until(lambda: self.node.version("flowers", 1))

    def attested(self) -> Attested:
        view = self.node.attested_view("flowers", 1)
        assert view is not None
        return view.value

    def settled(self) -> bool:
        return self.node.finality().value.settled


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    genesis = Genesis(
        network="development",
        time=int(time.time() * 1000),
        validators=tuple(sorted(key.address for key in KEYS)),
        balances=tuple(sorted((key.address, 1_000_000) for key in (OWNER, WORKER))),
        note="attesting",
    )
    stop, ports = threading.Event(), Queue[int]()
    miner = Address("0x" + "ab" * 20)
    thread = threading.Thread(
        target=running.run,
        args=(tmp_path, "127.0.0.1", 0, genesis, miner, stop, ports.put),
        daemon=True,
    )
    thread.start()
    found = Network(NodeClient(f"http://127.0.0.1:{ports.get(timeout=30)}"), genesis, tmp_path, stop, [thread])
    yield found
    stop.set()
    for each in found.threads:
        each.join(15)
    assert not any(each.is_alive() for each in found.threads)
    found.node.close()


def test_four_validators_certify_an_adopted_version_and_rest(network: Network) -> None:
    for key in KEYS:
        network.validate(key)
    network.adopt()
    network.until(lambda: network.settled() and [len(one.attestations) for one in network.attested().sets] == [4])
    genesis = Hash(network.node.genesis_hash())
    policy, adopted = network.node.model("flowers"), network.node.version("flowers", 1)
    assert policy is not None
    assert adopted is not None
    certificate = certificate_of(genesis, policy, adopted, network.attested())
    assert certificate is not None
    verify(certificate, network.node.validators(), genesis=genesis)
    assert network.attested().sets[0].validators == network.node.validators()
    kinds = [event.kind for event in network.node.events(0).events]
    assert (kinds.count("attested"), kinds.count("certified")) == (4, 1)
    log = (network.folder / "blockchain.log").read_text()
    assert log.count(" event=attested model=flowers version=1 set=0 validator=0x") == 4
    assert " event=certified model=flowers version=1 set=0 candidate=bafy" in log


def test_validators_that_come_late_and_one_that_was_killed_attest_what_is_in_service(network: Network) -> None:
    first = threading.Event()
    for key in KEYS[:3]:
        network.validate(key, first)
    network.adopt()
    network.until(lambda: len(network.attested().sets) == 1)
    first.set()  # killed, with or without what they had to say
    for thread in network.threads[1:]:
        thread.join(30)
    for key in KEYS:
        network.validate(key)
    network.until(lambda: network.attested().certified and len(network.attested().sets[0].attestations) == 4)
    assert sorted(one.validator for one in network.attested().sets[0].attestations) == list(SET.members)


def test_when_the_set_changes_the_new_one_certifies_what_is_in_service(network: Network) -> None:
    newcomer = Key(b"\x44" * 32)
    for key in KEYS:
        network.validate(key)
    network.adopt()
    network.until(lambda: network.attested().certified)
    before = network.node.validators()
    change = AdmitValidator(0, newcomer.address, None, 1, ((KEYS[0].address, "00" * 65),))
    genesis = Hash(network.node.genesis_hash())
    signatures = sorted((key.address, key.sign(change.digest(genesis))) for key in KEYS[:3])
    network.send(OWNER, replace(change, signatures=tuple(signatures)))
    network.validate(newcomer)
    network.until(lambda: network.node.validators().serial == 1)
    network.until(lambda: [one.validators.serial for one in network.attested().sets] == [1], 60)
    network.until(lambda: len(network.attested().sets[0].attestations) == 5)
    policy, adopted = network.node.model("flowers"), network.node.version("flowers", 1)
    assert policy is not None
    assert adopted is not None
    certificate = certificate_of(genesis, policy, adopted, network.attested())
    assert certificate is not None
    verify(certificate, [before, network.node.validators()])
    assert newcomer.address in {one.validator for one in certificate.attestations}
