"""When a miner mines its next block.  Pure.

On a network with a target interval it always does, and the difficulty keeps the pace.

On demand it mines at once for anything but checkpoint votes and for a deadline that has passed; for votes when
they complete a quorum on the head, or after a while; and for nothing at all as long as something but checkpoint
votes is not yet final, after the same while, so that validators get a new head to vote on.  A chain whose work
is final stands still.

Without this pacing votes arrive a block late, and the chain makes a hundred blocks a second and never
finalises. Miners take turns: the one ranked i among those known for the next block waits a little longer, i
times, so that the block of the one before it is usually there by then. With no quorum in reach all waits
double with every few blocks since the last final one, up to a limit: but not below a height that validators have
voted for on another branch. They may not vote again until this one is higher, and who makes a long branch of cheap
blocks to lure them there would else keep them silent for as long as so many slow blocks take.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from chain.params import Params
from chain.schema import Address, Hash
from chain.state import State
from chain.transactions import VoteCheckpoint

#: Blocks that finality lags behind the head when all goes well: one to justify, one to finalise.
USUAL_LAG = 2
#: Parts of a target interval after which a block that is still being mined is made anew.
RENEWALS = 10


def wait_ms(params: Params, height: int, since: int) -> int:
    """How long votes that complete no quorum wait for company, on a head at ``height``; milliseconds.

    ``since``: height of the last final block, or up to which validators have voted elsewhere.
    """
    return min(params.votes_wait_ms << _doublings(params, height, since), params.max_wait_ms)


def turn_ms(params: Params, height: int, since: int, rank: int) -> int:
    """How much longer than the first the miner ranked ``rank`` waits, on a head at ``height``; milliseconds."""
    return min(rank * params.rank_wait_ms << _doublings(params, height, since), params.max_wait_ms)


def _doublings(params: Params, height: int, since: int) -> int:
    stalled = max(0, height - since - USUAL_LAG)
    return min(stalled // params.stall_blocks, 32)


def rank(parent: Hash, miner: Address, others: Iterable[Address]) -> int:
    """How many of ``others`` come before ``miner`` for the block after ``parent``.

    The order is that of SHA-256(parent's 32 bytes, address as its text): another one for each block.
    """
    start = bytes.fromhex(parent)
    mine = hashlib.sha256(start + miner.encode()).digest()
    return sum(hashlib.sha256(start + each.encode()).digest() < mine for each in set(others) - {miner})


def renewal_ms(params: Params) -> int | None:
    """Age, in milliseconds, at which a block that is being mined is made anew; None on demand: never.

    The search may take long, and the block would be found with the transactions and the time of its beginning.
    """
    return max(1_000, params.target_interval_ms // RENEWALS) if params.target_interval_ms else None


def completes_quorum(state: State, head: Hash, votes: Iterable[tuple[Address, VoteCheckpoint]]) -> bool:
    """Whether pending votes (sender, payload) hold a quorum link to the head from a block justified in its
    state.

    Votes for the head can only be in blocks above it, so the state has none of them yet.
    """
    voters: dict[str, set[Address]] = {}
    for sender, vote in votes:
        if vote.target == head and state.justified.get(str(vote.source_height)) == vote.source:
            voters.setdefault(vote.source, set()).add(sender)
    return any(all(each.weight_of(found) >= each.quorum() for each in state.voting_sets) for found in voters.values())


def next_mining_time(
    state: State,
    head: Hash,
    *,
    params: Params,
    head_since: int,
    work_since: int | None,
    votes: Mapping[Address, VoteCheckpoint],
    votes_since: int,
    deadline: int | None,
    rank: int,
    voted: int = 0,
) -> int | None:
    """When to mine the next block, in milliseconds since 1970 UTC; None while there is nothing to mine for.

    With a target interval it is always time: 0.

    Parameters
    ----------
    state, head
        The head's state and id.
    head_since
        When this node took it as its head.
    work_since
        Since when a transaction other than a checkpoint vote waits that a block could hold now; None: none does.
    votes, votes_since
        Pending checkpoint votes that a block could hold now, one for each validator; when the last one came.
    deadline
        ``next_deadline(state)``.
    rank
        This miner's :func:`rank` for the block after the head.
    voted
        Height of the highest block, known here, that a validator's pending vote is for.
    """
    if params.target_interval_ms:
        return 0
    since = max(state.finality.final_height, voted)
    due = []
    if work_since is not None:
        due.append(max(head_since, work_since))
    if deadline is not None:
        due.append(deadline)
    if not state.finality.settled:
        waiting = head_since + wait_ms(params, state.height, since)
        complete = completes_quorum(state, head, votes.items())
        due.append(max(head_since, votes_since) if complete else waiting)
    if not due:
        return None
    return min(due) + turn_ms(params, state.height, since, rank)
