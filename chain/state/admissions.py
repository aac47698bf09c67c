"""Who may be a validator: admission and removal by a quorum of those who are."""

from __future__ import annotations

from chain.errors import Conflict, Duplicate, Forbidden, InvalidField, InvalidSignature, NotYet
from chain.keys import recover
from chain.state.context import Context, Origin, require
from chain.state.electorate import Admission
from chain.state.sets import wanted
from chain.state.tables import ADMISSIONS, ADMISSIONS_FROM, NUMBERS, ONLY, PENDING_SET, SLASHED
from chain.transactions import AdmitValidator


def apply_admit_validator(context: Context, origin: Origin, payload: AdmitValidator) -> None:
    """Change who is admitted; the set follows (:mod:`chain.state.sets`).

    Raises ``Duplicate`` for what is so already, ``NotYet`` and ``Conflict`` for signatures for a set to come and for
    one from before the last admission, ``Forbidden`` for signers who are no quorum, for a key that was slashed and for
    too many or no validators, ``InvalidField`` for a signature that is not its signer's.
    """
    draft = context.draft
    now = None if payload.add is None else draft.get(ADMISSIONS, payload.add)
    leaves = payload.remove is not None and draft.get(ADMISSIONS, payload.remove) is not None
    added = payload.add is None or (now is not None and now.power == payload.power)
    if added and not leaves:
        raise Duplicate("a change of who is admitted", "one that has happened")
    _check_serial(context, payload)
    require(
        payload.remove is None or leaves,
        Conflict,
        "somebody to remove who is admitted",
        payload.remove,
        "body.payload.remove",
    )
    if payload.add is not None:
        require(
            draft.get(SLASHED, payload.add) is None,
            Forbidden,
            "a key that was never slashed",
            payload.add,
            "body.payload.add",
        )
    _check_signatures(context, payload)
    _check_not_to_come(context, payload)
    if payload.remove is not None:
        draft.remove(ADMISSIONS, payload.remove)
    if payload.add is not None:
        draft.put(ADMISSIONS, payload.add, Admission(payload.power, context.height))
    members = len(draft.keys(ADMISSIONS))
    require(
        members <= context.params.max_validators and bool(wanted(context)[0]),
        Forbidden,
        f"1 to {context.params.max_validators} validators, some with weight",
        members,
        "body.payload",
    )
    pending = draft.get(PENDING_SET, ONLY)
    draft.put(NUMBERS, ADMISSIONS_FROM, (context.validators if pending is None else pending.set).serial + 1)
    context.emit(
        "admission", added=payload.add, removed=payload.remove, power=payload.power, serial=payload.serial,
        sender=origin.sender,
    )  # fmt: skip


def _check_serial(context: Context, payload: AdmitValidator) -> None:
    """The signers knew of every admission so far.  (Stakes may have moved weights since, which they need not know.)"""
    least = context.draft.get(NUMBERS, ADMISSIONS_FROM) or 0
    require(
        payload.serial >= least,
        Conflict,
        f"signatures for a set since the last admission, number {least} or later",
        payload.serial,
        "body.payload.serial",
    )


def _check_not_to_come(context: Context, payload: AdmitValidator) -> None:
    """Asked last: nodes keep what is early waiting, and only what a quorum signed is worth the room."""
    current = context.validators.serial
    if payload.serial > current:
        raise NotYet(f"the set in force, number {current}", str(payload.serial), "body.payload.serial")


def _check_signatures(context: Context, payload: AdmitValidator) -> None:
    """A quorum of the set in force signed; for a set to come, one of that set will do until it is in force."""
    validators, pending = context.validators, context.draft.get(PENDING_SET, ONLY)
    sets = [validators, *([pending.set] if pending is not None and payload.serial > validators.serial else [])]
    signers = {signer for signer, _ in payload.signatures}
    where = "body.payload.signatures"
    strangers = [signer for signer, _ in payload.signatures if not any(each.weight(signer) for each in sets)]
    require(not strangers, Forbidden, "signatures of validators", ", ".join(strangers), where)
    weight, quorum = validators.weight_of(signers), validators.quorum()
    enough = any(each.weight_of(signers) >= each.quorum() for each in sets)
    require(enough, Forbidden, f"signatures of a quorum, weight {quorum}", weight, where)
    digest = payload.digest(context.genesis)
    for signer, signature in payload.signatures:
        try:
            found = recover(digest, signature)
        except InvalidSignature as error:
            raise InvalidField("a signature on secp256k1", str(error), where) from error
        require(found == signer, InvalidField, f"{signer}'s signature of this very change", f"{found}'s", where)
