"""Stake: locking it, giving it up, and when it is free again.

Stake that was given up is released once its delay is over, no set that it weighs in is in force, an evidence period
has passed since, and no job that its owner has a part in is open.  It moves to the balance with the owner's next
transaction after that, so nothing has to look for it.
"""

from __future__ import annotations

from collections import Counter

from chain.errors import Forbidden, InsufficientStake
from chain.records import replace
from chain.state.accounts import account_of, debit
from chain.state.context import Context, Origin, require
from chain.state.electorate import Engagements
from chain.state.objects import Account
from chain.state.sets import wanted
from chain.state.tables import ACCOUNTS, ENGAGEMENTS, ONLY, OPEN_JOBS, PENDING_SET
from chain.transactions import Stake, Unstake


def apply_stake(context: Context, origin: Origin, payload: Stake) -> None:
    """Lock an amount of the sender's balance.  Raises ``InsufficientBalance``."""
    account = debit(context, origin.sender, payload.amount)
    context.draft.put(ACCOUNTS, origin.sender, replace(account, stake=account.stake + payload.amount))
    context.emit("stake", account=origin.sender, amount=payload.amount, stake=account.stake + payload.amount)


def apply_unstake(context: Context, origin: Origin, payload: Unstake) -> None:
    """Give up stake: its weight leaves with the next change of the set, the amount is free after the delay.

    Raises ``InsufficientStake`` for more than is staked, ``Forbidden`` for the last stake that votes, or for more
    amounts under way than an account may have.
    """
    account, params = account_of(context, origin.sender), context.params
    if payload.amount > account.stake:
        raise InsufficientStake(
            f"an amount of at most {account.stake}, the sender's stake",
            str(payload.amount),
            "body.payload.amount",
            balance=account.stake,
            needed=payload.amount,
        )
    release = context.time + params.unbonding_ms
    amounts: Counter[int] = Counter()  # several may wait for one time, where a change of the set put them off
    for amount, until in (*account.unbonding, (payload.amount, release)):
        amounts[until] += amount
    require(
        len(amounts) <= params.max_unbondings,
        Forbidden,
        f"at most {params.max_unbondings} amounts that wait for their release",
        len(amounts),
        "body.sender",
    )
    unbonding = tuple((amount, until) for until, amount in sorted(amounts.items()))
    left = replace(account, stake=account.stake - payload.amount, unbonding=unbonding)
    context.draft.put(ACCOUNTS, origin.sender, left)
    require(
        params.power != "stake" or bool(wanted(context)[0]),
        Forbidden,
        "some stake that is left to vote",
        f"the last {payload.amount}",
        "body.payload.amount",
    )
    context.emit("unstake", account=origin.sender, amount=payload.amount, stake=left.stake, release=release)


def release(context: Context, address: str) -> None:
    """Move what is free by now to the balance."""
    account = context.draft.get(ACCOUNTS, address)
    if account is None or not account.unbonding:
        return
    free = sum(amount for amount, until in account.unbonding if until <= context.time)
    if not free or _weighs(context, address, account) or _engaged(context, address):
        return
    kept = tuple((amount, until) for amount, until in account.unbonding if until > context.time)
    context.draft.put(ACCOUNTS, address, replace(account, balance=account.balance + free, unbonding=kept))
    context.emit("released", account=address, amount=free)


def engage(context: Context, address: str, job: str) -> None:
    """Note that ``address`` takes part in a job, if it has stake to answer with."""
    account = context.draft.get(ACCOUNTS, address)
    if account is None or not account.locked:
        return
    jobs = _engaged(context, address)
    if job not in jobs:
        context.draft.put(ENGAGEMENTS, address, Engagements((*jobs, job)))  # type: ignore[arg-type]


def _engaged(context: Context, address: str) -> tuple[str, ...]:
    """The open jobs that an address has a part in."""
    found = context.draft.get(ENGAGEMENTS, address)
    return () if found is None else tuple(job for job in found.jobs if context.draft.get(OPEN_JOBS, job) is not None)


def _weighs(context: Context, address: str, account: Account) -> bool:
    """Whether a set in force still counts more than what is staked."""
    if context.params.power != "stake":
        return False
    pending = context.draft.get(PENDING_SET, ONLY)
    sets = (context.validators, *(() if pending is None else (pending.set,)))
    return any(each.weight(address) > account.stake for each in sets)
