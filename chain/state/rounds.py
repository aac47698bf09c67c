"""The rounds of a job as pure functions: opening, closing, what follows, removing what was disproved."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import cache

from chain.packing import NULL, pack_items, pack_link, pack_text
from chain.records import RECORD, replace
from chain.schema import Address, Cid, Hash
from chain.state.objects import Job, Partition, Round


def open_round(job: Job, time: int) -> Job:
    """``job`` with one more round, open from ``time`` on."""
    index = len(job.round_list)
    partitions = _untouched(job.partitions)
    new = Round(index, opened=time, deadline=time + job.round_ms, closed=None, partitions=partitions)
    return replace(job, round_list=(*job.round_list, new))


@cache
def _untouched(count: int) -> tuple[Partition, ...]:
    """Partitions that nobody claimed; shared, since opening jobs is cheap and each may have hundreds."""
    return tuple(Partition(number) for number in range(count))


def close_round(job: Job, time: int) -> Job:
    """``job`` with its last round closed: no more updates, its first aggregate due in ``round_ms``."""
    last = job.round_list[-1]
    partitions = tuple(replace(partition, lease=None) for partition in last.partitions)
    return with_round(job, replace(last, closed=time, deadline=time + job.round_ms, partitions=partitions))


def with_round(job: Job, changed: Round) -> Job:
    """``job`` with one of its rounds replaced."""
    rounds = list(job.round_list)
    rounds[changed.index] = changed
    return replace(job, round_list=tuple(rounds))


def with_partition(job: Job, round_index: int, changed: Partition) -> Job:
    """``job`` with one partition of one round replaced."""
    current = job.round_list[round_index]
    partitions = list(current.partitions)
    partitions[changed.index] = changed
    return with_round(job, replace(current, partitions=tuple(partitions)))


def advance(job: Job, time: int) -> Job:
    """What follows once the last round has an aggregate: the next round, or a vote on the aggregate."""
    last = job.round_list[-1]
    if last.index + 1 < job.rounds:
        return open_round(job, time)
    return replace(job, state="voting", candidate=last.aggregates[0], vote_deadline=time + job.vote_ms)


def bar(job: Job, workers: Collection[Address]) -> Job:
    """``job`` without these workers from now on: their leases are released, what they had accepted stays."""
    barred = tuple(sorted({*job.barred, *workers}))
    job = replace(job, barred=barred)
    if job.round_list:
        last = job.round_list[-1]
        partitions = tuple(
            replace(partition, lease=None)
            if partition.lease and partition.lease.worker in barred
            else partition
            for partition in last.partitions
        )
        job = with_round(job, replace(last, partitions=partitions))
    return job


def mark_removed(job: Job, disproved: Collection[Cid]) -> Job:
    """``job`` at its end with the disproved items named as removed, and still shown."""
    rounds = []
    for round_ in job.round_list:
        partitions = tuple(
            replace(partition, removed=(*partition.removed, partition.update.id))
            if partition.update is not None and partition.update.id in disproved
            else partition
            for partition in round_.partitions
        )
        removed = tuple(aggregate.id for aggregate in round_.aggregates if aggregate.id in disproved)
        rounds.append(replace(round_, partitions=partitions, removed=(*round_.removed, *removed)))
    return replace(job, round_list=tuple(rounds))


def remove(job: Job, disproved: Collection[Cid], time: int) -> Job:
    """``job`` in its next attempt, without what was disproved and without all that was built on it.

    An update goes with the aggregate it was based on, an aggregate with any update it includes or with one
    that said the same and was disproved.  The first
    round that is no longer whole is taken up again with a fresh deadline, later rounds start anew after it;
    where all rounds still have an aggregate, the first one standing in the last round is the next candidate.
    """
    job = replace(job, state="training", attempt=job.attempt + 1, candidate=None, vote_deadline=None)
    rounds: list[Round] = []
    for round_ in job.round_list:
        bases = {aggregate.artifact for aggregate in rounds[-1].aggregates} if rounds else {None}
        kept = _without(round_, disproved, bases)
        if len(kept.updates) < len(round_.updates):
            kept = replace(kept, opened=time, deadline=time + job.round_ms, closed=None)
        elif not kept.aggregates:
            kept = replace(kept, closed=time, deadline=time + job.round_ms)
        rounds.append(kept)
        if not kept.aggregates:
            return replace(job, round_list=tuple(rounds))
    return advance(replace(job, round_list=tuple(rounds)), time)


def _without(round_: Round, disproved: Collection[Cid], bases: Collection[Cid | None]) -> Round:
    partitions = tuple(
        replace(partition, update=None, removed=(*partition.removed, partition.update.id))
        if partition.update and (partition.update.id in disproved or partition.update.base not in bases)
        else partition
        for partition in round_.partitions
    )
    updates = tuple(partition.update.id for partition in partitions if partition.update)
    # Who says word for word what was disproved says something false: it does not get an attempt of its own.
    false = {(each.artifact, each.score) for each in round_.aggregates if each.id in disproved}
    standing = tuple(
        aggregate
        for aggregate in round_.aggregates
        if aggregate.updates == updates and (aggregate.artifact, aggregate.score) not in false
    )
    gone = tuple(aggregate.id for aggregate in round_.aggregates if aggregate not in standing)
    return replace(round_, partitions=partitions, aggregates=standing, removed=(*round_.removed, *gone))


def senders(job: Job, items: Collection[Cid]) -> set[Address]:
    """Who sent these updates and aggregates."""
    updates = {update.worker for round_ in job.round_list for update in round_.updates if update.id in items}
    return updates | {
        aggregate.sender
        for round_ in job.round_list
        for aggregate in round_.aggregates
        if aggregate.id in items
    }


def record_digest(job: Job) -> Hash:
    """What the votes of an attempt are bound to: SHA-256 over the DAG-CBOR of its record.

    The record is ``[seed, rounds, candidate]``: for each round ``[update id, base or null]`` in partition
    order, then the id of the candidate's transaction.  Other standing aggregates are left out, since they
    may still arrive while the vote is on.  Raises ``ValueError`` for a job without a candidate.
    """
    if job.candidate is None:
        raise ValueError(f"job {job.id} has no candidate in state {job.state}: there is nothing to vote on")
    rounds = pack_items(list(map(_record, job.round_list)))
    record = pack_items([NULL if job.seed is None else pack_text(job.seed), rounds, pack_link(job.candidate.id)])
    return Hash(hashlib.sha256(record).hexdigest())


def _record(round_: Round) -> bytes:
    """A round's part of the record. Every vote asks for it, and no vote changes a round: it is kept."""
    kept: bytes | None = round_.__dict__.get(RECORD)
    if kept is None:
        kept = round_.__dict__[RECORD] = _pairs(round_)
    return kept


def _pairs(round_: Round) -> bytes:
    pairs = [
        pack_items([pack_link(update.id), NULL if update.base is None else pack_link(update.base)])
        for update in round_.updates
    ]
    return pack_items(pairs)
