"""What can go wrong on the chain: every error says where, what was expected, what came and what to do.

`code` (snake_case, one for each class) is what logs, problem documents and callers compare; the text is for
people.
"""
# ruff: noqa: N818 - the errors carry the names users read in logs and problem documents

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(eq=False)
class ChainError(Exception):
    """Any refusal by the ledger."""

    expected: str
    """What would have been accepted: "an integer of at least 1". With no `found`, the whole message."""
    found: str = ""
    """What came instead."""
    where: str = ""
    """Path of the field in question, dotted: "body.payload.partitions"; empty where it is about the whole."""

    code: ClassVar[str] = "chain_error"
    advice: ClassVar[str] = "Correct it and send it again."

    def __str__(self) -> str:
        return f"{self.said}. {self.advice}"

    @property
    def said(self) -> str:
        """Where, what was expected and what came; without the advice, for whoever has better."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}expected {self.expected}, found {self.found}" if self.found else f"{place}{self.expected}"

    def inside(self, name: str) -> None:
        """Name the field that encloses what this error is about (called while it travels outwards)."""
        separator = "." if self.where and not self.where.startswith("[") else ""
        self.where = f"{name}{separator}{self.where}"

    def detached(self) -> Self:
        """Itself, without traceback and causes: their frames hold on to blocks, drafts and whole states.

        For whoever remembers a refusal beyond the call that was refused.
        """
        self.__traceback__ = self.__cause__ = self.__context__ = None
        return self


class InvalidEncoding(ChainError):
    """Bytes or an object that are not the one canonical form of something of ours."""

    code = "invalid_encoding"
    advice = "Encode it again with exactly the documented fields and types; DAG-CBOR has one strict form."


class InvalidSignature(ChainError):
    """A signature that is malformed, malleable, or not the sender's."""

    code = "invalid_signature"
    advice = "Sign the body again with the sender's key."


class WalletError(ChainError):
    """A key file that is missing, exists already, or does not open with the password at hand."""

    code = "wallet_error"
    advice = "Check the wallet's name and the folder."


class PasswordMissing(WalletError):
    """The file with the password of a folder's keystores is not there."""

    code = "password_missing"
    advice = "Restore it from the backup (`cp wallets/*` leaves it out: it begins with a dot); nothing is changed."


class PasswordWrong(WalletError):
    """A keystore and a password that do not belong together."""

    code = "password_wrong"
    advice = (
        "Give the password that the keystore was made with. The one of a folder's wallets is in its `.password`: "
        "restore that from the same backup as the keystore."
    )


# Transactions


@dataclass(eq=False)
class InvalidTransaction(ChainError):
    """A well-formed, signed transaction that may not change the state."""

    index: int | None = None
    """Its place in the block it came with (0 is the first transaction), None outside a block."""

    code = "invalid_transaction"


class InvalidField(InvalidTransaction):
    """A field's value is of the right type but against a rule."""

    code = "invalid_field"


class TransactionTooLarge(InvalidTransaction):
    """The signed transaction has more bytes than its kind may have."""

    code = "transaction_too_large"
    advice = "Shorten its texts or lists."


class Expired(InvalidTransaction):
    """Its expiry has passed."""

    code = "expired"
    advice = "Sign a replacement with a later expiry, once a final block's time has passed the old one."


class ExpiresTooLate(InvalidTransaction):
    """Its expiry lies further ahead than the network allows."""

    code = "expires_too_late"
    advice = "Sign it with an earlier expiry; compare this machine's clock with the node's."


class WrongNetwork(InvalidTransaction):
    """It was signed for another genesis."""

    code = "wrong_network"
    advice = "Sign it with the genesis hash that the node shows at /chain."


class Duplicate(InvalidTransaction):
    """The state already has it: the sender has what it wants."""

    code = "duplicate"
    advice = "Nothing is left to do: it has happened."


class NotYet(InvalidTransaction):
    """Invalid on this state, but it may become valid on a later one; it stays pending."""

    code = "not_yet"
    advice = "Wait: it stays pending until its time comes or it expires."


class Forbidden(InvalidTransaction):
    """The sender may not do this."""

    code = "forbidden"
    advice = "Use a wallet that may, or ask the owner to list this address."


class Unknown(InvalidTransaction):
    """It names something that the state does not have."""

    code = "unknown"
    advice = "Check the name or id; register it first if it is new."


class Conflict(InvalidTransaction):
    """What it asks for contradicts what already stands."""

    code = "conflict"
    advice = "Read the current state and decide anew."


@dataclass(eq=False)
class InsufficientBalance(InvalidTransaction):
    """The sender's balance does not cover it."""

    balance: int = 0
    needed: int = 0

    code = "insufficient_balance"
    advice = "Transfer to the sender first, or send less."


class InsufficientStake(InsufficientBalance):
    """More stake given up than the sender has."""

    code = "insufficient_stake"
    advice = "Give up that much or less; what was given up already becomes free by itself after the delay."


class MempoolFull(InvalidTransaction):
    """A node's bounds on waiting transactions (not a rule of the chain)."""

    code = "mempool_full"
    advice = "Wait until earlier transactions are in a block, then send the identical bytes again."


# Blocks


class InvalidBlock(ChainError):
    """A block that may not extend its parent."""

    code = "invalid_block"
    advice = "Drop it; if your own miner made it, compare its version and parameters with the network's."


class BadVersion(InvalidBlock):
    code = "bad_version"


class BadParent(InvalidBlock):
    code = "bad_parent"


class BadTime(InvalidBlock):
    code = "bad_time"


class BadTarget(InvalidBlock):
    code = "bad_target"


class BadWork(InvalidBlock):
    code = "bad_work"


class BadRoot(InvalidBlock):
    """The body is not the one the header commits to: the body is dropped, the header is not condemned."""

    code = "bad_root"
    advice = "Ask another peer for this block's body."


class BadHeight(InvalidBlock):
    code = "bad_height"


class BadStateDigest(InvalidBlock):
    """The block claims another state than its transactions lead to.

    An adoption or finality without its quorum shows as this.
    """

    code = "bad_state_digest"


class BlockTooLarge(InvalidBlock):
    code = "block_too_large"


@dataclass(eq=False)
class BadTransaction(InvalidBlock):
    """One of its transactions is invalid; `cause` says how."""

    index: int = 0
    cause: ChainError | None = None

    code = "bad_transaction"

    def detached(self) -> Self:
        if self.cause is not None:
            self.cause.detached()
        return super().detached()

    def __str__(self) -> str:
        return f"transaction {self.index} of the block ({getattr(self.cause, 'code', '?')}): {self.cause}"


class ConflictingFinality(ChainError):
    """Two conflicting blocks are final: more than a third of the validators' weight broke the rules."""

    code = "conflicting_finality"
    advice = (
        "The node has stopped and stays so. Keep the data folder, and settle with the other operators who signed both "
        "and which branch holds (docs/operating.md); `assay node --forget-conflict` then starts it again."
    )
