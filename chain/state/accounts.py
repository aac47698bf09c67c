"""Accounts: who may send transactions, which of them were there before, and transfers."""

from __future__ import annotations

from typing import Final

from chain.errors import Duplicate, InsufficientBalance
from chain.params import Genesis, Params
from chain.records import replace
from chain.state.context import Context, Origin
from chain.state.objects import Account
from chain.state.tables import ACCOUNTS, IDS, ONLY, PENDING_SET
from chain.transactions import Signed, Transfer, check_envelope

#: Ids past their expiry are forgotten once in so many milliseconds of block time, since that looks at all of
#: them.
FORGET_MS: Final = 60_000

#: The one kind that never expires and is not remembered by its id: its own heights keep it from being
#: repeated.
_TIMELESS: Final = "vote_checkpoint"


def check_genesis(genesis: Genesis, params: Params) -> None:
    """Raises ``ValueError`` when the genesis does not fit the network."""
    if genesis.network != params.name:
        raise ValueError(
            f"the genesis is for network {genesis.network!r}, these are the parameters of {params.name!r}"
        )
    members = len(genesis.validators)
    if not 1 <= members <= params.max_validators or len(set(genesis.validators)) != members:
        raise ValueError(f"expected 1 to {params.max_validators} different validators, found {members}")
    owners = {owner for owner, _ in genesis.balances}
    poor = [validator for validator in genesis.validators if validator not in owners]
    if params.power == "stake" and poor:
        raise ValueError(f"expected a balance of each validator, its first stake; found none of {', '.join(poor)}")


def admit(context: Context, signed: Signed) -> None:
    """What every transaction must meet before its kind is looked at; remembers its id.

    Raises ``Duplicate``, ``InsufficientBalance`` and whatever :func:`chain.transactions.check_envelope` raises.
    """
    body = signed.body
    remembered = body.kind != _TIMELESS
    if remembered and context.draft.get(IDS, signed.id) is not None:
        raise Duplicate("a transaction that is not on the chain yet", signed.id)
    check_envelope(signed, context.params, context.genesis, context.time)
    # Who may cast a checkpoint vote, its target says.
    least = context.params.minimum_balance
    if remembered and least:
        owned = account_of(context, body.sender).owned
        if owned < least and not _votes(context, body.sender):
            raise InsufficientBalance(
                f"a sender that is a validator or owns at least {least}",
                f"{body.sender} with {owned}",
                "body.sender",
                balance=owned,
                needed=least,
            )
    if remembered:
        context.draft.put(IDS, signed.id, body.expires)


def forget_ids(context: Context) -> None:
    """Forget ids whose transactions would be refused as expired."""
    if context.time // FORGET_MS == context.draft.base.time // FORGET_MS:
        return
    for key, expires in context.draft.base.table(IDS).items():
        if expires <= context.time:
            context.draft.remove(IDS, key)


def _votes(context: Context, address: str) -> bool:
    """Whether an address is in the set in force or in the one to come."""
    if context.validators.weight(address):
        return True
    pending = context.draft.get(PENDING_SET, ONLY)
    return pending is not None and pending.set.weight(address) > 0


def account_of(context: Context, address: str) -> Account:
    """What an address owns; nothing for one never heard of."""
    return context.draft.get(ACCOUNTS, address) or Account(0)


def debit(context: Context, address: str, amount: int, where: str = "body.payload.amount") -> Account:
    """Take an amount from a balance; the account after it.  Raises ``InsufficientBalance``."""
    account = account_of(context, address)
    if amount > account.balance:
        raise InsufficientBalance(
            f"an amount of at most {account.balance}",
            str(amount),
            where,
            balance=account.balance,
            needed=amount,
        )
    account = replace(account, balance=account.balance - amount)
    context.draft.put(ACCOUNTS, address, account)
    return account


def credit(context: Context, address: str, amount: int) -> None:
    """Add an amount to a balance."""
    account = account_of(context, address)
    context.draft.put(ACCOUNTS, address, replace(account, balance=account.balance + amount))


def apply_transfer(context: Context, origin: Origin, payload: Transfer) -> None:
    """Move an amount from the sender to the recipient.  Raises ``InsufficientBalance``."""
    if payload.amount:  # else nobody gets an account in the state for nothing
        debit(context, origin.sender, payload.amount)
        credit(context, payload.recipient, payload.amount)
    context.emit("transfer", sender=origin.sender, recipient=payload.recipient, amount=payload.amount)
