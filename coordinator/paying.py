"""Where a job's reward went, as the state paid it (chain/state/rewards.py)."""

from __future__ import annotations

from collections.abc import Mapping

from chain.client import NodeClient
from chain.schema import Address
from chain.state import Job
from chain.state.rewards import shares


def payouts(node: NodeClient, job: Job) -> Mapping[Address, int]:
    """Who got how much of a closed job's reward; nothing while it is open, or where it offered none.

    Raises `NodeUnavailable`.
    """
    if not job.reward or job.is_open:
        return {}
    if job.version is None:
        return {job.opener: job.reward}
    version = node.version(job.model, job.version)
    if version is None:
        return {}  # a reorganisation took it back between two questions
    paid = shares(job, version.approvals, node.params().validator_share)
    return {who: amount for who, amount in sorted(paid.items()) if amount}
