"""A job's reward: held from its opening, paid at its adoption, given back at any other end.

The validators' share (``Params.validator_share``) goes in equal parts to those whose approvals adopted the version, the
rest to workers by the rows of all their accepted updates.  Divisions round down; what is left over is the opener's.
"""

from __future__ import annotations

from collections import Counter

from chain.payload_types import MILLION
from chain.schema import Address
from chain.state.accounts import credit, debit
from chain.state.context import Context
from chain.state.objects import Job


def hold(context: Context, opener: Address, reward: int) -> None:
    """Take the reward from the opener.  Raises ``InsufficientBalance``."""
    if reward:
        debit(context, opener, reward, "body.payload.reward")


def shares(job: Job, approvals: tuple[Address, ...], validator_share: int) -> dict[Address, int]:
    """Who gets how much of the job's reward, the opener's remainder included: they add up to all of it."""
    paid: Counter[Address] = Counter()
    for_validators = job.reward * validator_share // MILLION if approvals else 0
    for validator in approvals:
        paid[validator] += for_validators // len(approvals)
    rows: Counter[Address] = Counter()
    for round_ in job.round_list:
        for update in round_.updates:
            rows[update.worker] += update.rows
    for worker, count in rows.items():
        paid[worker] += (job.reward - for_validators) * count // rows.total()
    paid[job.opener] += job.reward - paid.total()
    return dict(paid)


def pay(context: Context, job: Job, approvals: tuple[Address, ...]) -> None:
    """Pay the reward of a job whose candidate was adopted by ``approvals``."""
    if job.reward:
        for address, amount in sorted(shares(job, approvals, context.params.validator_share).items()):
            if amount:
                credit(context, address, amount)
                context.emit("reward", job=job.id, account=address, amount=amount)


def give_back(context: Context, job: Job) -> None:
    """Return the reward of a job that ended without a version."""
    if job.reward:
        credit(context, job.opener, job.reward)
        context.emit("reward", job=job.id, account=job.opener, amount=job.reward)
