"""Every constant that nodes of one network must share, and the genesis that a network starts from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from chain import schema
from chain.encoding import from_json, to_json
from chain.errors import InvalidEncoding
from chain.rules import ALL_RULES, Rules
from chain.schema import Address, Items, Range, Text

MAX_GENESIS_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Params:
    """The consensus constants of one network. Two nodes that differ in any of them part ways."""

    name: str
    """The network's name, as the genesis names it."""

    # Blocks

    target_interval_ms: int = 0
    """Mean time between blocks that difficulty aims at; 0: blocks are mined on demand at a fixed target."""
    initial_target: int = 0x1F3FFFFF
    """Compact target of the genesis, and of all blocks while the target is fixed: 2^10 hashes a block.

    With a target interval, that of the first `difficulty_window` blocks too.
    """
    easiest_target: int = 0x1F3FFFFF
    """Compact target that difficulty adjustment never goes above; looked at with a target interval only."""
    difficulty_window: int = 90
    """Blocks that a target follows from, N; LWMA-1's author gives 90 for intervals of about a minute."""
    max_block_bytes: int = 4 * 1024 * 1024
    """Encoded size of a block with its transactions."""
    max_block_transactions: int = 4096
    """Transactions in a block."""

    # Transactions

    max_transaction_bytes: int = 64 * 1024
    """Encoded size of a signed transaction of any kind but vote_model."""
    max_vote_bytes: int = 1280 * 1024
    """The same for vote_model, which names every replayed update (256 partitions x 100 rounds x 41 bytes)."""
    max_expiry_ms: int = 3_600_000
    """How far a transaction's expiry may lie ahead of the block that includes it; ids are kept that long."""
    minimum_balance: int = 1_000
    """What an account that is no validator must own, staked or not, to send anything (there are no fees)."""

    # Jobs

    lease_ms: int = 30_000
    """Block time for which a claim holds a partition; renewed by claiming again."""
    leases_per_worker: int = 4
    """Live leases of one worker in one job."""
    failure_reports: int = 2
    """Distinct workers whose permanent failures on one partition fail the job."""
    min_round_ms: int = 1_000
    """Shortest time a job may give a round or a vote."""
    max_round_ms: int = 7 * 24 * 3_600_000
    """Longest time a job may give a round or a vote."""
    validator_share: int = 200_000
    """Millionths of a job's reward for the validators whose approvals adopted it; the rest is for its workers."""

    # Validators and finality

    max_validators: int = 21
    """Members of the validator set."""
    power: Literal["member", "stake"] = "member"
    """What a validator's vote weighs: 1, or its stake up to the cap of its admission."""
    evidence_ms: int = 24 * 3_600_000
    """Block time for which stake stays slashable after its weight has left the set."""
    unbonding_ms: int = 8 * 24 * 3_600_000
    """Block time from `unstake` to the release; longer than the evidence period and than any round or vote."""
    max_unbondings: int = 16
    """Amounts of one account that may wait for their release at a time."""
    rules: Rules = ALL_RULES
    """The rules of finality: all of them on every network (see chain/rules.py)."""

    # Pacing of miners on demand (block time; see chain/pacing.py)

    votes_wait_ms: int = 200
    """How long checkpoint votes that complete no quorum wait for company before they are mined."""
    rank_wait_ms: int = 100
    """What the miner ranked i by hash(parent, address) waits, times i."""
    stall_blocks: int = 4
    """With no quorum in reach, waits double with every so many blocks since the last final one."""
    max_wait_ms: int = 10_000
    """The longest such wait."""

    @property
    def max_future_ms(self) -> int:
        """How far a block's time may lie ahead of a node's clock before the node holds it back.

        Three target intervals, so that times made up by a miner move the target little (LWMA-1's author allows
        N T / 20, https://github.com/zawy12/difficulty-algorithms/issues/3), and at least 15 s, for clocks that
        are not well kept.
        """
        return max(3 * self.target_interval_ms, 15_000)

    def transaction_limit(self, kind: str) -> int:
        """The most bytes a signed transaction of this kind may have."""
        if kind == "report_misconduct":
            return self.largest_transaction
        return self.max_vote_bytes if kind == "vote_model" else self.max_transaction_bytes

    @property
    def largest_transaction(self) -> int:
        """The bound to read a transaction under before its kind is known, in bytes: a report holds two votes."""
        return self.max_transaction_bytes + 2 * self.max_vote_bytes


DEVELOPMENT = Params("development")
"""One machine or one team: instant blocks on demand, an easy fixed target."""

CONSORTIUM = Params("consortium", minimum_balance=0)
"""Organisations that know each other: one organisation one vote, no coins for anything, blocks on demand. Anybody who
reaches a node may send, so nodes listen to their own people and to each other (see docs/trust.md)."""

STAKE = Params("stake", power="stake")
"""As development, but votes weigh what their validators have staked. In genesis that is their whole balance, which is
also their admission's cap."""

OPEN = Params("open", target_interval_ms=15_000, initial_target=0x1E0FFFFF, easiest_target=0x1F00FFFF)
"""Anybody mines: a block every 15 s, from 2^20 hashes for each of the first 90 (a second of one core), never
below 2^16."""

NETWORKS: dict[str, Params] = {each.name: each for each in (DEVELOPMENT, CONSORTIUM, STAKE, OPEN)}


@dataclass(frozen=True)
class Genesis:
    """What a network starts from. The genesis block's id binds all of it, through the state's digest."""

    network: Annotated[str, Text(1, 64, r"[a-z0-9][a-z0-9._-]*", "a network's name")]
    """The name of its Params."""
    time: Annotated[int, Range(0)]
    """Milliseconds since 1970 UTC."""
    validators: Annotated[tuple[Address, ...], Items(1, 21, unique=True)]
    """The first members of the validator set: weight 1 each or, by stake, their balances (see Params.power)."""
    balances: Annotated[tuple[tuple[Address, Annotated[int, Range(1)]], ...], Items(0, 10_000)]
    """Accounts with their first balances, sorted by address, none twice; their sum is below 2^63."""
    note: Annotated[str, Text(0, 1000)]
    """Anything; tells two networks with otherwise equal beginnings apart."""

    def to_bytes(self) -> bytes:
        """Canonical DAG-CBOR. Raises InvalidEncoding."""
        _check(self)
        return schema.to_bytes(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Genesis:
        """Raises InvalidEncoding."""
        return _check(schema.from_bytes(cls, data, MAX_GENESIS_BYTES))

    def to_json(self) -> str:
        """The form of a genesis file: JSON, indented."""
        _check(self)
        return json.dumps(json.loads(to_json(schema.to_object(self))), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Genesis:
        """Raises InvalidEncoding."""
        return _check(schema.from_object(cls, from_json(text, MAX_GENESIS_BYTES)))


def _check(genesis: Genesis) -> Genesis:
    owners = [owner for owner, _ in genesis.balances]
    if owners != sorted(set(owners)):
        raise InvalidEncoding("accounts sorted by address, none twice", "another order", "balances")
    if sum(amount for _, amount in genesis.balances) >= 2**63:
        raise InvalidEncoding("balances whose sum is below 2^63", "more", "balances")
    return genesis
