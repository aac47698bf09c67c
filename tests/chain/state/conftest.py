"""A small chain without blocks or work: states that follow each other, and everybody's keys."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest

from chain.encoding import cid_of
from chain.errors import InvalidTransaction
from chain.keys import Key
from chain.params import DEVELOPMENT, Genesis, Params
from chain.schema import Address, Hash
from chain.state import BlockDraft, Event, Job, Model, State, apply_block, compacted, genesis_state, record_digest
from chain.transactions import (
    ClaimPartition,
    OpenJob,
    Payload,
    RegisterDataset,
    RegisterModel,
    Signed,
    SubmitAggregate,
    SubmitUpdate,
    VoteCheckpoint,
    VoteModel,
    body_of,
    sign,
)

START = 1_700_000_000_000
GENESIS_ID = Hash(hashlib.sha256(b"genesis block").hexdigest())
ENVIRONMENT = Hash("e" * 64)


def cid(text: str) -> str:
    """A CID of something that is called `text`."""
    return cid_of(text.encode())


class Chain:
    """States one after another; `do` makes a block of one transaction, `mine` of any number."""

    def __init__(self, params: Params = DEVELOPMENT, validators: int = 4) -> None:
        names = ["owner", "alice", "bob", "carol", "dave", "mallory"]
        self.params = params
        self.validators = [self.key(f"validator {number}") for number in range(validators)]
        self.people = {name: self.key(name) for name in names}
        self.genesis = Genesis(
            params.name,
            START,
            tuple(key.address for key in self.validators),
            tuple(sorted(self._balances().items())),
            "",
        )
        self.states = [genesis_state(self.genesis, params)]
        self.ids = [GENESIS_ID]
        self.events: list[Event] = []
        #: Jobs that have left the state.
        self.archive: dict[str, Job] = {}
        self.blocks: list[tuple[int, tuple[Signed, ...]]] = []
        self._salts = 0

    def _balances(self) -> dict[Address, int]:
        staked = self.validators if self.params.power == "stake" else []
        return {key.address: 10_000 for key in self.people.values()} | {key.address: 1_000 for key in staked}

    @staticmethod
    def key(name: str) -> Key:
        return Key(hashlib.sha256(name.encode()).digest())

    @property
    def state(self) -> State:
        return self.states[-1]

    @property
    def time(self) -> int:
        return self.state.time

    def ancestor(self, height: int) -> str:
        return self.ids[height]

    def who(self, name: str) -> Key:
        return self.people.get(name) or self.key(name)

    def address(self, name: str) -> Address:
        return self.who(name).address

    def sign(self, sender: str | Key, payload: Payload, **envelope: Any) -> Signed:
        key = self.who(sender) if isinstance(sender, str) else sender
        self._salts += 1
        expires = 0 if isinstance(payload, VoteCheckpoint) else self.time + 600_000
        values = {"genesis": GENESIS_ID, "salt": f"{self._salts:032x}", "expires": expires} | envelope
        return sign(body_of(payload, key.address, **values), key)

    def mine(self, *transactions: Signed, after: int = 1) -> State:
        """A block `after` milliseconds later; raises as apply_block does and then adds nothing."""
        height, time = self.state.height + 1, self.time + after
        state, events = apply_block(
            self.state, self.ids[-1], time, height, "0x" + "0" * 40, transactions, self.params, self.ancestor
        )
        self.events += events
        self.archive |= {job.id: job for job in compacted(self.state, state)}
        self.states.append(state)
        self.blocks.append((time, transactions))
        digest = hashlib.sha256(f"{self.ids[-1]}{state.digest}{time}".encode()).hexdigest()
        self.ids.append(Hash(digest))
        return state

    def do(self, sender: str | Key, payload: Payload, after: int = 1, **envelope: Any) -> str:
        signed = self.sign(sender, payload, **envelope)
        self.mine(signed, after=after)
        return signed.id

    def wait(self, milliseconds: int) -> State:
        return self.mine(after=milliseconds)

    def refuse(
        self, error: type[Exception], sender: str | Key, payload: Payload, after: int = 1, **envelope: Any
    ) -> Exception:
        """Sending this is refused with exactly this error, and leaves the digest of the block without it."""
        return self.refuse_signed(error, self.sign(sender, payload, **envelope), after)

    def refuse_signed(self, error: type[Exception], signed: Signed, after: int = 1) -> Exception:
        with pytest.raises(error) as caught:
            self.mine(signed, after=after)
        assert type(caught.value) is error, repr(caught.value)
        if isinstance(caught.value, InvalidTransaction):
            assert caught.value.index == 0
        draft, empty = self.draft(after), self.draft(after)
        with pytest.raises(error):
            draft.add(signed)
        left, right = draft.finish(), empty.finish()
        assert left == right
        return caught.value

    def draft(self, after: int = 1) -> BlockDraft:
        return BlockDraft(
            self.state,
            parent=self.ids[-1],
            height=self.state.height + 1,
            time=self.time + after,
            params=self.params,
            ancestor=self.ancestor,
        )

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    # What jobs need

    def dataset(self, name: str = "iris", **fields: Any) -> RegisterDataset:
        values = {
            "data": cid(f"{name} data"),
            "manifest": cid(f"{name} manifest"),
            "rows": 150,
            "target": "flower",
            "task": "classification",
        }
        return RegisterDataset(name=name, **(values | fields))

    def model(self, name: str = "flowers", **fields: Any) -> RegisterModel:
        values: dict[str, Any] = {
            "datasets": ("iris",),
            "task": "classification",
            "metric": "accuracy",
            "direction": 1,
            "minimum_improvement": 0,
            "audit_fraction": 1_000_000,
            "holdout_fraction": 200_000,
            "holdout_dataset": None,
            "statistics": cid(f"{name} statistics"),
            "environments": (ENVIRONMENT,),
            "openers": (),
            "workers": (),
        }
        return RegisterModel(name=name, **(values | fields))

    def job(self, **fields: Any) -> OpenJob:
        values: dict[str, Any] = {
            "model": "flowers",
            "dataset": "iris",
            "estimator": '{"class":"sklearn.linear_model.LogisticRegression","params":{}}',
            "partitions": 2,
            "rounds": 1,
            "partitioning": '{"scheme":"disjoint"}',
            "aggregation": "average",
            "minimum_updates": 2,
            "attempts": 1,
            "round_ms": 60_000,
            "vote_ms": 60_000,
        }
        return OpenJob(**(values | fields))

    def register(self, **model: Any) -> Chain:
        self.do("owner", self.dataset())
        self.do("owner", self.model(**model))
        return self

    def open(self, sender: str = "owner", **fields: Any) -> str:
        """A job whose seed is drawn."""
        job = self.do(sender, self.job(**fields))
        self.mine()
        return job

    def finalise(self) -> None:
        """Have all validators make the head final, so that the next block begins on a state that says so."""
        for _ in range(2):
            finality, head = self.state.finality, self.state.height
            link = VoteCheckpoint(finality.justified_hash, finality.justified_height, self.ids[head], head)
            self.mine(*(self.sign(key, link) for key in self.validators))

    @property
    def jobs(self) -> dict[str, Job]:
        """All jobs there ever were, as they are or last were."""
        return {**self.archive, **self.state.jobs}

    def get(self, job: str) -> Job:
        return self.state.jobs.get(job) or self.archive[job]

    def policy(self, name: str = "flowers") -> Model:
        return self.state.models[name]

    def at(self, job: str) -> dict[str, Any]:
        """Job, attempt and round of the job's newest round."""
        current = self.get(job)
        return {"job": job, "attempt": current.attempt, "round": max(0, len(current.round_list) - 1)}

    def claiming(self, job: str, partition: int, /, **fields: Any) -> ClaimPartition:
        return ClaimPartition(**({**self.at(job), "partition": partition} | fields))

    def claim(self, worker: str, job: str, partition: int, **fields: Any) -> str:
        return self.do(worker, self.claiming(job, partition), **fields)

    def update(self, job: str, partition: int, artifact: str | None = None, /, **fields: Any) -> SubmitUpdate:
        at = self.at(job)
        rounds = self.get(job).round_list
        base = rounds[at["round"] - 1].aggregates[0].artifact if at["round"] else None
        values: dict[str, Any] = {
            "partition": partition,
            "seed": self.get(job).seed or "0" * 64,
            "base": base,
            "artifact": cid(artifact or f"update {at['round']} {partition}"),
            "rows": 60,
            "score": 900_000,
            "milliseconds": 12,
            "environment": ENVIRONMENT,
        }
        return SubmitUpdate(**(at | values | fields))

    def train(self, worker: str, job: str, partition: int, artifact: str | None = None) -> str:
        """Claim and submit; the update's id."""
        self.claim(worker, job, partition)
        return self.do(worker, self.update(job, partition, artifact))

    def aggregate(self, job: str, artifact: str | None = None, /, **fields: Any) -> SubmitAggregate:
        at = self.at(job)
        newest = self.get(job).round_list[-1]
        values: dict[str, Any] = {
            "updates": tuple(update.id for update in newest.updates),
            "artifact": cid(artifact or f"aggregate {at['round']} of {job}"),
            "score": 930_000,
            "environment": ENVIRONMENT,
        }
        return SubmitAggregate(**(at | values | fields))

    def candidate(self, workers: Sequence[str] = ("alice", "bob"), **fields: Any) -> str:
        """A job whose candidate is up for the vote."""
        job = self.open(**fields)
        while self.get(job).state == "training":
            for partition in self.get(job).round_list[-1].partitions:
                worker = workers[partition.index % len(workers)]
                self.train(worker, job, partition.index)
            self.do(workers[0], self.aggregate(job))
        return job

    def vote(self, job: str, decision: str = "approve", /, **fields: Any) -> VoteModel:
        current = self.get(job)
        assert current.candidate is not None
        compared = self.policy(current.model).in_service
        approve = decision == "approve"
        values: dict[str, Any] = {
            "job": job,
            "attempt": current.attempt,
            "candidate": current.candidate.artifact,
            "compared": compared,
            "record": record_digest(current),
            "decision": decision,
            "score": current.candidate.score if approve else None,
            "baseline": 900_000 if approve and compared else None,
            "replayed": current.update_ids if approve else (),
            "disproved": (),
            "missing": (cid("lost"),) if decision == "unavailable" else (),
            "asked": "here" if decision == "unavailable" else "",
            "mode": "bytes" if approve else "none",
            "environment": ENVIRONMENT,
            "reason": f"{decision} because",
        }
        return VoteModel(**(values | fields))

    def votes(self, job: str, decision: str, count: int = 3, **fields: Any) -> State:
        """`count` validators vote alike, in one block."""
        payload = self.vote(job, decision, **fields)
        return self.mine(*(self.sign(key, payload) for key in self.validators[:count]))

    def replay(self) -> State:
        """The state after all blocks, applied anew from genesis."""
        state = genesis_state(self.genesis, self.params)
        for height, (time, transactions) in enumerate(self.blocks, start=1):
            miner = "0x" + "0" * 40
            state, _ = apply_block(
                state, self.ids[height - 1], time, height, miner, transactions, self.params, self.ancestor
            )
        return state


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.fixture
def registered(chain: Chain) -> Chain:
    return chain.register()


@pytest.fixture
def new_chain() -> type[Chain]:
    return Chain


@pytest.fixture
def content() -> Any:
    """The CID of something by a name of it."""
    return cid
