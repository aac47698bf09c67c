"""How a validator votes on checkpoints, and which votes break the rules.  Pure.

Casper FFG (Buterin and Griffith, arXiv 1710.09437) with every block a checkpoint.  The counting is the state
transition's (:mod:`chain.state.checkpoints`); here is the voters' side.  A validator may only vote so that
each target is higher than all its earlier targets and each source no lower than all its earlier sources.
That is stricter than the paper, where voting inside an earlier vote is allowed, and simpler to keep: two
numbers say what was promised.
"""

from __future__ import annotations

from typing import Protocol

from chain.misconduct import conflict
from chain.rules import ALL_RULES, Rules
from chain.schema import Hash
from chain.state import Finality, State
from chain.transactions import VoteCheckpoint

__all__ = ["LastVote", "choose_vote", "conflict", "may_follow", "next_vote"]


class LastVote(Protocol):
    """What a validator has to remember of its newest vote; a ``VoteCheckpoint`` will do."""

    @property
    def source_height(self) -> int:
        """Height of the newest vote's source, the highest so far."""

    @property
    def target_height(self) -> int:
        """Height of the newest vote's target, the highest so far."""


def choose_vote(
    state: State, head: Hash, last: LastVote | None, rules: Rules = ALL_RULES
) -> VoteCheckpoint | None:
    """The vote to cast now, None where there is nothing to vote for or no vote is allowed.

    ``state`` is the state of ``head``, the block that the validator would mine on; ``last`` its newest vote.
    The target is the head, the source the highest block that is justified in the head's own state. Nothing is voted
    on while all but checkpoint votes is final.
    """
    return next_vote(state.finality, head, state.height, last, rules)


def next_vote(
    finality: Finality, head: Hash, height: int, last: LastVote | None, rules: Rules = ALL_RULES
) -> VoteCheckpoint | None:
    """The same from what a validator asks its node for: the head's finality, id and height."""
    if finality.settled:
        return None
    vote = VoteCheckpoint(
        source=finality.justified_hash,
        source_height=finality.justified_height,
        target=head,
        target_height=height,
    )
    return vote if may_follow(vote, last, rules) else None


def may_follow(vote: VoteCheckpoint, last: LastVote | None, rules: Rules = ALL_RULES) -> bool:
    """Whether casting ``vote`` after ``last`` keeps the rules."""
    if vote.source_height >= vote.target_height:
        return False
    return last is None or (
        (vote.target_height > last.target_height or not rules.targets_rise)
        and (vote.source_height >= last.source_height or not rules.sources_stay)
    )
