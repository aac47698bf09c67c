"""Reports of validators that contradicted themselves, and what it costs them."""

from __future__ import annotations

from chain.errors import Conflict, Duplicate, InvalidField
from chain.misconduct import proof
from chain.records import replace
from chain.state.accounts import account_of
from chain.state.context import Context, Origin, require
from chain.state.electorate import Slashed
from chain.state.sets import is_member
from chain.state.tables import ACCOUNTS, ADMISSIONS, BURNED, NUMBERS, SLASHED
from chain.transactions import ReportMisconduct


def apply_report_misconduct(context: Context, origin: Origin, payload: ReportMisconduct) -> None:
    """Slash a validator: all its stake is burned, also what waits for its release, and its key is out for good.

    Its weight leaves by a change of the set like any other.  Raises ``Duplicate`` for who is slashed already,
    ``Conflict`` for who has neither a vote nor stake, ``InvalidField`` for what proves nothing.
    """
    draft, accused = context.draft, payload.validator
    if draft.get(SLASHED, accused) is not None:
        raise Duplicate("a validator that is not slashed yet", accused)
    account = account_of(context, accused)
    require(
        draft.get(ADMISSIONS, accused) is not None or is_member(context, accused) or account.locked > 0,
        Conflict,
        "a validator, or somebody with stake",
        accused,
        "body.payload.validator",
    )
    try:
        reason = proof(payload, context.genesis, context.params)
    except InvalidField as error:
        error.inside("body.payload")
        raise
    burned = account.locked
    if burned:
        draft.put(ACCOUNTS, accused, replace(account, stake=0, unbonding=()))
        draft.put(NUMBERS, BURNED, (draft.get(NUMBERS, BURNED) or 0) + burned)
    if draft.get(ADMISSIONS, accused) is not None:
        draft.remove(ADMISSIONS, accused)
    draft.put(SLASHED, accused, Slashed(reason, origin.sender, burned, context.height, context.time))
    context.emit("misconduct", validator=accused, reporter=origin.sender, burned=burned, reason=reason)
