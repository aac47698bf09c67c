"""The state transition: what a block does to the state, and which transactions it may hold.

:class:`BlockDraft` is the whole of it: it begins a block on a parent's state, takes transactions one by one,
each whole or not at all, and ends in the new state with its events.  :func:`apply_block` (validation),
:func:`check` (the mempool's question) and the building of blocks are three ways to use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from chain.errors import InvalidTransaction
from chain.params import Genesis, Params
from chain.records import replace
from chain.schema import Cid, Hash
from chain.state import (
    accounts,
    admissions,
    aggregates,
    attestations,
    checkpoints,
    claims,
    datasets,
    jobs,
    misconduct,
    models,
    sets,
    stakes,
    updates,
    votes,
)
from chain.state.context import Context, Origin
from chain.state.draft import Draft
from chain.state.electorate import Admission, Phase, Phases
from chain.state.events import Event
from chain.state.objects import Account, Finality, ValidatorSet
from chain.state.tables import (
    ACCOUNTS,
    ADMISSIONS,
    EMPTY,
    FINALITY,
    JUSTIFIED,
    NO_HASH,
    ONLY,
    PHASES,
    VALIDATORS,
    State,
)
from chain.transactions import Signed

#: Hash of the block at a height on the parent's branch; asked for heights from the last final block to the
#: parent.
Ancestor = Callable[[int], str]

#: What each kind of transaction does; a new kind is a payload type, a function and a line here.
KINDS: Final[Mapping[str, Callable[[Context, Origin, Any], None]]] = MappingProxyType(
    {
        "transfer": accounts.apply_transfer,
        "register_dataset": datasets.apply_register_dataset,
        "register_model": models.apply_register_model,
        "open_job": jobs.apply_open_job,
        "cancel_job": jobs.apply_cancel_job,
        "claim_partition": claims.apply_claim_partition,
        "report_failure": claims.apply_report_failure,
        "submit_update": updates.apply_submit_update,
        "submit_aggregate": aggregates.apply_submit_aggregate,
        "vote_model": votes.apply_vote_model,
        "attest": attestations.apply_attest,
        "vote_checkpoint": checkpoints.apply_vote_checkpoint,
        "stake": stakes.apply_stake,
        "unstake": stakes.apply_unstake,
        "admit_validator": admissions.apply_admit_validator,
        "report_misconduct": misconduct.apply_report_misconduct,
    }
)

#: The kind that is no work: it needs no finality of its own.
CHECKPOINT_KIND: Final = "vote_checkpoint"


def genesis_state(genesis: Genesis, params: Params) -> State:
    """The state after block 0: the genesis document's balances and validators, block 0 justified and final.

    Raises ``ValueError`` when the document names no validator, one twice, or more than the network allows.
    """
    accounts.check_genesis(genesis, params)
    # The digest starts from the whole document, so that the genesis block's id binds network and note as well.
    draft = Draft(replace(EMPTY, digest=Hash(hashlib.sha256(genesis.to_bytes()).hexdigest())))
    members, owned = tuple(sorted(genesis.validators)), dict(genesis.balances)
    staked = {member: owned[member] for member in members} if params.power == "stake" else {}
    for address, balance in genesis.balances:
        locked = staked.get(address, 0)
        draft.put(ACCOUNTS, address, Account(balance - locked, locked))
    validators = ValidatorSet(0, members, tuple(staked.get(member, 1) for member in members))
    for member, weight in zip(validators.members, validators.weights, strict=True):
        draft.put(ADMISSIONS, member, Admission(weight, 0))
    draft.put(VALIDATORS, ONLY, validators)
    draft.put(PHASES, ONLY, Phases((Phase(0, validators, None),)))
    draft.put(FINALITY, ONLY, Finality(0, NO_HASH, 0, NO_HASH, 0))
    draft.put(JUSTIFIED, "0", NO_HASH)
    return draft.finish(0, genesis.time, NO_HASH)


class BlockDraft:
    """A block in the making on ``state``, the state of its parent."""

    def __init__(
        self, state: State, *, parent: str, height: int, time: int, params: Params, ancestor: Ancestor
    ) -> None:
        """Begin the block: seeds are drawn, deadlines pass.

        ``parent`` is the parent block's id, ``height`` and ``time`` are the new block's.  Raises
        ``ValueError`` when they do not follow ``state``; the caller has checked the header by then.
        """
        if height != state.height + 1 or time <= state.time:
            raise ValueError(
                f"a block on height {state.height}, time {state.time} has the next height and a later time, "
                f"not {height} and {time}"
            )
        draft = Draft(state)
        genesis = Hash(parent) if height == 1 else state.genesis
        self._context = Context(draft, params, Hash(parent), genesis, height, time, ancestor)
        if height == 1:
            checkpoints.bind_genesis(self._context)
        changed = sets.begin_block(self._context)
        # Deadlines first, on the jobs as the parent left them: what is over by now no new set decides any more.
        self._worked = jobs.begin_block(self._context) or changed
        if changed:
            votes.recount(self._context)

    def add(self, signed: Signed) -> None:
        """Apply a transaction whose signature and encoding were checked.  Raises ``InvalidTransaction``."""
        context, body = self._context, signed.body
        apply = KINDS.get(body.kind)
        if apply is None:
            raise InvalidTransaction(f"kind {body.kind!r} is unknown: expected one of {', '.join(KINDS)}")
        events = len(context.events)
        context.draft.begin()
        try:
            stakes.release(context, body.sender)
            accounts.admit(context, signed)
            apply(context, Origin(Cid(signed.id), body.sender), body.payload)
        except BaseException:
            context.draft.drop()
            del context.events[events:]
            raise
        context.draft.keep()
        self._worked = self._worked or body.kind != CHECKPOINT_KIND

    def finish(self) -> tuple[State, tuple[Event, ...]]:
        """The state after the block and what happened in it."""
        context = self._context
        # Not before: a draft that no block comes of need not look at them all. Their transactions have expired, and
        # what is said of a closed job is refused as long as it is there, too.
        accounts.forget_ids(context)
        jobs.compact(context)
        # A change of the set under way wants blocks until it is through.
        if sets.finish_block(context) or self._worked:
            checkpoints.mark_work(context)
        state = context.draft.finish(context.height, context.time, context.genesis)
        return state, tuple(context.events)


def apply_block(
    state: State,
    parent: str,
    header_time: int,
    height: int,
    miner: str,
    transactions: Sequence[Signed],
    params: Params,
    ancestor: Ancestor,
) -> tuple[State, tuple[Event, ...]]:
    """The state after a block and what happened in it.

    ``state`` is the parent's, ``parent`` its block's id; signatures were checked when the transactions were
    decoded. ``miner`` is paid nothing at present.  Raises :class:`InvalidTransaction` with ``index`` set to
    the place of the first one that does not apply.
    """
    draft = BlockDraft(
        state, parent=parent, height=height, time=header_time, params=params, ancestor=ancestor
    )
    for index, signed in enumerate(transactions):
        try:
            draft.add(signed)
        except InvalidTransaction as error:
            error.index = index
            raise
    return draft.finish()


def check(state: State, signed: Signed, params: Params, *, parent: str, now: int, ancestor: Ancestor) -> None:
    """Whether a transaction would be valid in the next block, made at ``now``, on the head ``parent``.

    Raises :class:`InvalidTransaction` with the reason; ``NotYet`` for one that may become valid later.
    """
    BlockDraft(
        state,
        parent=parent,
        height=state.height + 1,
        time=max(now, state.time + 1),
        params=params,
        ancestor=ancestor,
    ).add(signed)


def next_deadline(state: State) -> int | None:
    """The earliest time at which a block has something to do even without transactions; None when nothing is
    open.

    A job's seed, which only needs a next block, counts from the job's opening.
    """
    return min(state.open_jobs.values(), default=None)
