"""Accounts: who may send transactions, which of them were there before, and transfers."""

from __future__ import annotations

from typing import Final

from chain.errors import Duplicate, Forbidden, InsufficientBalance
from chain.params import Genesis, Params
from chain.state.context import Context, Origin, require
from chain.state.objects import Account
from chain.state.tables import ACCOUNTS, IDS
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


def admit(context: Context, signed: Signed) -> None:
    """What every transaction must meet before its kind is looked at; remembers its id.

    Raises ``Duplicate``, ``Forbidden`` and whatever :func:`chain.transactions.check_envelope` raises.
    """
    body = signed.body
    remembered = body.kind != _TIMELESS
    if remembered and context.draft.get(IDS, signed.id) is not None:
        raise Duplicate("a transaction that is not on the chain yet", signed.id)
    check_envelope(signed, context.params, context.genesis, context.time)
    if context.validators.weight(body.sender) == 0:
        balance = balance_of(context, body.sender)
        least = context.params.minimum_balance
        require(
            balance >= least,
            Forbidden,
            f"a sender that is a validator or owns at least {least}",
            f"{body.sender} with {balance}",
            "body.sender",
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


def balance_of(context: Context, address: str) -> int:
    """What an address owns; 0 for one never heard of."""
    account = context.draft.get(ACCOUNTS, address)
    return 0 if account is None else account.balance


def apply_transfer(context: Context, origin: Origin, payload: Transfer) -> None:
    """Move an amount from the sender to the recipient.  Raises ``InsufficientBalance``."""
    balance = balance_of(context, origin.sender)
    if payload.amount > balance:
        raise InsufficientBalance(
            f"an amount of at most {balance}",
            str(payload.amount),
            "body.payload.amount",
            balance=balance,
            needed=payload.amount,
        )
    if payload.recipient != origin.sender:
        context.draft.put(ACCOUNTS, origin.sender, Account(balance - payload.amount))
        context.draft.put(
            ACCOUNTS, payload.recipient, Account(balance_of(context, payload.recipient) + payload.amount)
        )
    context.emit("transfer", sender=origin.sender, recipient=payload.recipient, amount=payload.amount)
