"""Counting checkpoint votes: which blocks of this branch are justified, and which final.

Casper FFG (Buterin and Griffith, arXiv 1710.09437) with every block a checkpoint: a quorum link from a
justified source justifies its target, and the source is final when the target is its direct child.
Everything here is told from the state of one branch; that two branches never finalise different blocks
follows from the voters' rules (:mod:`chain.finality`) and from how the set changes (:mod:`chain.state.sets`): a
link needs a quorum of each of its target's sets.
"""

from __future__ import annotations

from chain.errors import Conflict, Duplicate, Forbidden, NotYet
from chain.records import replace
from chain.schema import Hash
from chain.state.context import Context, Origin, require
from chain.state.objects import Link, ValidatorSet, Voter
from chain.state.sets import forget_phases, is_member
from chain.state.tables import ADMISSIONS, FINALITY, JUSTIFIED, LINKS, ONLY, PHASES, VOTERS
from chain.transactions import VoteCheckpoint


def bind_genesis(context: Context) -> None:
    """Write the genesis block's id where the genesis state could not know it."""
    finality = context.draft.only(FINALITY)
    context.draft.put(
        FINALITY, ONLY, replace(finality, justified_hash=context.parent, final_hash=context.parent)
    )
    context.draft.put(JUSTIFIED, "0", context.parent)


def mark_work(context: Context) -> None:
    """Note that this block holds more than checkpoint votes, so that it wants to become final."""
    context.draft.put(FINALITY, ONLY, replace(context.draft.only(FINALITY), work_height=context.height))


def link_key(source_height: int, target_height: int) -> str:
    """The key of a link in the table of links."""
    return f"{source_height}-{target_height}"


def apply_vote_checkpoint(context: Context, origin: Origin, payload: VoteCheckpoint) -> None:
    """Count a validator's checkpoint vote.

    Raises ``Forbidden`` for who has no vote on the target, ``Duplicate`` for the same again, ``Conflict`` for one that
    its voter's newer vote or finality has overtaken, ``NotYet`` for blocks that are not, or not justified,
    on this branch.
    """
    sets, rules = context.draft.only(PHASES).at(payload.target_height), context.params.rules
    member = any(each.weight(origin.sender) for each in sets)
    # Who has a vote now, or may have one on another branch, is told so only where the target is known.
    if not member and not is_member(context, origin.sender) and context.draft.get(ADMISSIONS, origin.sender) is None:
        raise Forbidden("a validator", origin.sender, "body.sender")
    _check_order(context, origin, payload)
    finality = context.draft.only(FINALITY)
    require(
        payload.source_height >= finality.final_height,
        Conflict,
        f"a source at or above the last final block, height {finality.final_height}",
        payload.source_height,
        "body.payload.source_height",
    )
    for end, height, block in (
        ("target", payload.target_height, payload.target),
        ("source", payload.source_height, payload.source),
    ):
        on_branch = height < context.height and context.ancestor(height) == block
        require(
            on_branch, NotYet, "a block of this branch", f"{block} at height {height}", f"body.payload.{end}"
        )
    require(member, Forbidden, "a validator of the target's set", origin.sender, "body.sender")
    require(
        not rules.justified_source or context.draft.get(JUSTIFIED, str(payload.source_height)) == payload.source,
        NotYet,
        "a source that is justified on this branch",
        f"{payload.source} at height {payload.source_height}",
        "body.payload.source",
    )
    context.draft.put(VOTERS, origin.sender, Voter(payload.source_height, payload.target_height))
    key = link_key(payload.source_height, payload.target_height)
    link = context.draft.get(LINKS, key) or Link(())
    link = Link((*link.voters, origin.sender))
    context.draft.put(LINKS, key, link)
    if all(each.weight_of(link.voters) >= _quorum(context, each) for each in sets):
        _justify(context, payload)


def _quorum(context: Context, validators: ValidatorSet) -> int:
    return validators.quorum() if context.params.rules.two_thirds else (validators.total + 1) // 2


def _check_order(context: Context, origin: Origin, payload: VoteCheckpoint) -> None:
    last, rules = context.draft.get(VOTERS, origin.sender), context.params.rules
    if last is None:
        return
    if (last.source_height, last.target_height) == (payload.source_height, payload.target_height):
        raise Duplicate(
            "a vote that is not counted yet", f"{payload.source_height} to {payload.target_height}"
        )
    require(
        payload.target_height > last.target_height or not rules.targets_rise,
        Conflict,
        f"a target above the validator's last one, height {last.target_height}",
        payload.target_height,
        "body.payload.target_height",
    )
    require(
        payload.source_height >= last.source_height or not rules.sources_stay,
        Conflict,
        f"a source no lower than the validator's last one, height {last.source_height}",
        payload.source_height,
        "body.payload.source_height",
    )


def _justify(context: Context, payload: VoteCheckpoint) -> None:
    """A link has its quorum: its target is justified, and its source final if they are parent and child."""
    finality = context.draft.only(FINALITY)
    if context.draft.get(JUSTIFIED, str(payload.target_height)) is None:
        context.draft.put(JUSTIFIED, str(payload.target_height), payload.target)
        context.emit("justified", height=payload.target_height, block=payload.target)
        if payload.target_height > finality.justified_height:
            finality = replace(
                finality, justified_height=payload.target_height, justified_hash=Hash(payload.target)
            )
    child = payload.target_height == payload.source_height + 1 or not context.params.rules.direct_child
    if child and payload.source_height > finality.final_height:
        finality = replace(finality, final_height=payload.source_height, final_hash=Hash(payload.source))
        _forget(context, payload.source_height)
        forget_phases(context, payload.source_height)
        context.emit("final", height=payload.source_height, block=payload.source)
    context.draft.put(FINALITY, ONLY, finality)


def _forget(context: Context, final_height: int) -> None:
    """Tallies and justified blocks below the final one decide nothing any more."""
    for key in context.draft.keys(JUSTIFIED):
        if int(key) < final_height:
            context.draft.remove(JUSTIFIED, key)
    for key in context.draft.keys(LINKS):
        if int(key.partition("-")[0]) < final_height:
            context.draft.remove(LINKS, key)
