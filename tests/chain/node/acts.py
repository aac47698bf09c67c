"""What everybody in a network of one node sends next: whole jobs step by step, and changes of who votes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chain.encoding import cid_of
from chain.keys import Key
from chain.params import Genesis
from chain.schema import Address, Cid, Hash
from chain.state import Job, State, record_digest
from chain.transactions import (
    AdmitValidator,
    ClaimPartition,
    OpenJob,
    Payload,
    RegisterDataset,
    RegisterModel,
    SubmitAggregate,
    SubmitUpdate,
    VoteModel,
)

ENVIRONMENT = Hash("e" * 64)
Act = tuple[Payload, Key]


@dataclass(frozen=True)
class People:
    """Who acts: the owner of everything, who also works, and the keys that are validators or may become one."""

    owner: Key
    validators: tuple[Key, ...]

    def genesis(self, time: int, balance: int, note: str) -> Genesis:
        """Validators are the first four."""
        members = tuple(sorted(key.address for key in self.validators[:4]))
        return Genesis("development", time, members, ((self.owner.address, balance),), note)

    def key(self, address: Address) -> Key:
        return next(key for key in self.validators if key.address == address)

    def registrations(self, name: str) -> list[Act]:
        """A dataset and a model of that name."""
        content = Cid(cid_of(name.encode()))
        dataset = RegisterDataset(name, content, content, 150, "species", "classification")
        model = RegisterModel(
            name, (name,), "classification", "accuracy", 1, 0, 1_000_000, 200_000, None, content, (ENVIRONMENT,), (),
            (),
        )  # fmt: skip
        return [(dataset, self.owner), (model, self.owner)]

    def opening(self, model: str) -> Act:
        """A job of one partition."""
        spec = '{"class":"sklearn.linear_model.Ridge","params":{}}'
        return OpenJob(
            model, model, spec, 1, 1, '{"scheme":"disjoint"}', "average", 1, 1, 60_000, 60_000
        ), self.owner  # fmt: skip

    def next_of(self, state: State, job: Job) -> list[Act]:
        """What the job waits for: a claim, an update, an aggregate, or all validators' approval."""
        if not job.round_list:
            return []
        if job.candidate is not None:
            compared = state.models[job.model].in_service
            vote = VoteModel(
                job.id, 0, job.candidate.artifact, compared, record_digest(job), "approve", job.candidate.score,
                900_000 if compared else None, job.update_ids, (), (), "store", "bytes", ENVIRONMENT, "replayed all",
            )  # fmt: skip
            return [(vote, self.key(member)) for member in state.validators.members]
        (partition,) = job.round_list[0].partitions
        artifact = Cid(cid_of(job.id.encode()))
        if partition.update is not None:
            return [(SubmitAggregate(job.id, 0, 0, job.update_ids, artifact, 950_000, ENVIRONMENT), self.owner)]
        if partition.lease is not None:
            assert job.seed is not None
            return [
                (SubmitUpdate(job.id, 0, 0, 0, job.seed, None, artifact, 30, 900_000, 20, ENVIRONMENT), self.owner)
            ]
        return [(ClaimPartition(job.id, 0, 0, 0), self.owner)]

    def admission(self, state: State, genesis: Hash, number: int) -> Act:
        """One of the keys becomes a validator or, if it is one, ceases to be; all in force sign it."""
        address = self.validators[number].address
        inside = address in state.admissions
        add, remove = (None, address) if inside else (address, None)
        change = AdmitValidator(state.validators.serial, add, remove, 0 if inside else 1, ())
        digest = change.digest(genesis)
        signatures = tuple((member, self.key(member).sign(digest)) for member in state.validators.members)
        return replace(change, signatures=signatures), self.owner
