"""Who sends transactions to a chain that is only for measuring: an owner, workers, validators, people.

Everything is deterministic: keys come from their names, salts from a counter, times from the chain.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from chain import attestations
from chain.blockchain import Blockchain
from chain.encoding import cid_of
from chain.finality import choose_vote
from chain.keys import Key
from chain.params import Genesis
from chain.schema import Address, Cid, Hash
from chain.state import Job, record_digest
from chain.state.attestations import statement_of
from chain.transactions import (
    Attest,
    ClaimPartition,
    OpenJob,
    Payload,
    RegisterDataset,
    RegisterModel,
    Signed,
    SubmitAggregate,
    SubmitUpdate,
    Transfer,
    VoteCheckpoint,
    VoteModel,
    body_of,
    sign,
)

#: Block time at which the chains begin, ms since 1970 UTC: long ago, so that no node finds a block too early.
START = 1_700_000_000_000
#: What transactions expire after, ms, as those of :class:`chain.client.NodeClient` do.
EXPIRES_IN_MS = 600_000
#: How long jobs give a round and a vote, ms.
PATIENCE_MS = 600_000
#: Partitions and rounds of the jobs, in turn.
SIZES = ((4, 1), (8, 1), (4, 2), (16, 1))
WORKERS, PEOPLE = 16, 64
ENVIRONMENT = Hash(hashlib.sha256(b"environment").hexdigest())
SPEC = '{"class":"sklearn.linear_model.LogisticRegression","params":{"C":1}}'

#: What a job's steps give: a sender with what it says, or None to wait for the next block. They are sent the id.
Steps = Generator[tuple[Key, Payload] | None, str | None, None]


def key_of(name: str) -> Key:
    """The key of somebody by name."""
    return Key(hashlib.sha256(name.encode()).digest())


def content(name: str) -> Cid:
    """The CID of something that nobody reads here."""
    return Cid(cid_of(name.encode()))


@dataclass(frozen=True)
class Cast:
    """Everybody there is."""

    validators: tuple[Key, ...]
    owner: Key
    workers: tuple[Key, ...]
    people: tuple[Key, ...]

    @classmethod
    def of(cls, validators: int) -> Cast:
        """The cast with so many validators."""
        return cls(
            tuple(key_of(f"validator {number}") for number in range(validators)),
            key_of("owner"),
            tuple(key_of(f"worker {number}") for number in range(WORKERS)),
            tuple(key_of(f"person {number}") for number in range(PEOPLE)),
        )

    def genesis(self, note: str) -> Genesis:
        """Where their network starts from: all but the validators own something."""
        rich = sorted(key.address for key in (self.owner, *self.workers, *self.people))
        return Genesis(
            network="development",
            time=START,
            validators=tuple(sorted(key.address for key in self.validators)),
            balances=tuple((address, 1_000_000_000_000) for address in rich),
            note=note,
        )


class Play:
    """What the cast sends, told from the chain as it stands."""

    def __init__(self, cast: Cast, chain: Blockchain) -> None:
        self._cast = cast
        self._chain = chain
        self._salts = itertools.count(1)
        self._transfers = itertools.count()
        self._votes: dict[Address, VoteCheckpoint] = {}

    def signed(self, key: Key, payload: Payload) -> Signed:
        """A transaction; its signer is known without recovering it."""
        expires = 0 if isinstance(payload, VoteCheckpoint) else self._chain.head.time + EXPIRES_IN_MS
        salt = f"{next(self._salts):032x}"
        signed = sign(body_of(payload, key.address, self._chain.genesis_id, salt, expires), key)
        signed.__dict__["signer"] = key.address
        return signed

    def checkpoint_votes(self) -> list[Signed]:
        """Each validator's vote for the head, where there is something to vote for."""
        found = []
        head = self._chain.head
        for key in self._cast.validators:
            vote = choose_vote(head.state, head.id, self._votes.get(key.address))
            if vote is not None:
                self._votes[key.address] = vote
                found.append(self.signed(key, vote))
        return found

    def transfer(self) -> tuple[Key, Payload]:
        """Somebody pays somebody, of whom many have not been heard of."""
        number = next(self._transfers)
        people = self._cast.people
        stranger = hashlib.sha256(b"%d" % (number % 5_000)).hexdigest()[:40]
        known = people[(7 * number + 1) % len(people)].address
        recipient = known if number % 4 else Address(f"0x{stranger}")
        return people[number % len(people)], Transfer(recipient, 1 + number % 1_000)

    def registrations(self, models: int) -> Iterator[tuple[Key, Payload]]:
        """The dataset and the models."""
        data, manifest = content("data"), content("manifest")
        yield self._cast.owner, RegisterDataset("flowers", data, manifest, 150, "species", "classification")
        for number in range(models):
            yield (
                self._cast.owner,
                RegisterModel(
                    f"model-{number}", ("flowers",), "classification", "accuracy", 1, 0, 1_000_000, 200_000, None,
                    content(f"statistics {number}"), (ENVIRONMENT,), (), (),
                ),
            )  # fmt: skip

    def jobs(self, model: str, first: int) -> Steps:
        """One job of a model after the other, without end."""
        for number in itertools.count(first):
            yield from self._job(model, number)

    def _job(self, model: str, number: int) -> Steps:
        partitions, rounds = SIZES[number % len(SIZES)]
        job = yield (
            self._cast.owner,
            OpenJob(
                model, "flowers", SPEC, partitions, rounds, '{"scheme":"disjoint"}', "average", partitions, 1,
                PATIENCE_MS, PATIENCE_MS,
            ),
        )  # fmt: skip
        assert job is not None  # noqa: S101 - whoever drives it sends each transaction's id
        while self._find(job) is None or self._seen(job).seed is None:
            yield None
        for round_ in range(rounds):
            yield from self._train(Cid(job), round_, number)
        yield from self._vote(Cid(job))
        yield from self._attest(model, Cid(job))

    def _find(self, job: str) -> Job | None:
        return self._chain.head.state.jobs.get(job)

    def _seen(self, job: str) -> Job:
        return self._chain.head.state.jobs[job]

    def _train(self, job: Cid, round_: int, number: int) -> Steps:
        count = self._seen(job).partitions
        # A worker may hold four partitions of a job.
        worker = [self._cast.workers[(number + index // 4) % WORKERS] for index in range(count)]
        for again in range(2 if number % 4 == 0 else 1):  # some are slow, and renew their leases
            for index in range(count):
                yield worker[index], ClaimPartition(job, 0, round_, index)
            if not again:
                yield None
        seed, rounds = self._seen(job).seed, self._seen(job).round_list
        assert seed is not None  # noqa: S101 - waited for
        base = rounds[round_ - 1].aggregates[0].artifact if round_ else None
        updates = []
        for index in range(count):
            artifact = content(f"{job} {round_} {index}")
            update = yield (
                worker[index],
                SubmitUpdate(job, 0, round_, index, seed, base, artifact, 30, 900_000 + index, 120, ENVIRONMENT),
            )
            updates.append(Cid(str(update)))
        yield None
        artifact = content(f"{job} {round_} all")
        yield worker[0], SubmitAggregate(job, 0, round_, tuple(updates), artifact, 950_000, ENVIRONMENT)
        yield None

    def _vote(self, job: Cid) -> Steps:
        shown = self._seen(job)
        candidate = shown.candidate
        assert candidate is not None  # noqa: S101 - the last round has its aggregate
        compared = self._chain.head.state.models[shown.model].in_service
        record = record_digest(shown)
        for key in self._quorum():
            yield (
                key,
                VoteModel(
                    job, 0, candidate.artifact, compared, record, "approve", candidate.score,
                    900_000 if compared else None, shown.update_ids, (), (), "store", "bytes", ENVIRONMENT,
                    f"replayed {len(shown.update_ids)} of {len(shown.update_ids)} updates, all equal",
                ),
            )  # fmt: skip
        yield None

    def _attest(self, model: str, job: Cid) -> Steps:
        version = self._chain.head.state.versions[f"{model}@{self._seen(job).version}"]
        while version.height > self._chain.head.state.finality.final_height:
            yield None
        state = self._chain.head.state
        serial = state.validators.serial
        statement = statement_of(self._chain.genesis_id, serial, state.models[model], version)
        for key in self._quorum():
            yield key, Attest(model, version.number, serial, attestations.attest(statement, key))
        yield None

    def _quorum(self) -> tuple[Key, ...]:
        """As many validators as decide; who comes later finds it decided."""
        return self._cast.validators[: 2 * len(self._cast.validators) // 3 + 1]
