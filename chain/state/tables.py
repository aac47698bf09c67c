"""The state as a whole: tables of objects, and snapshots of them.

A :class:`State` is frozen and shares all but the changes with its parent's (``immutables.Map``), so keeping
one for each block is cheap, and whatever goes wrong in a block leaves nothing behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar

import immutables

from chain.encoding import read_raw, shown, write_raw
from chain.errors import InvalidEncoding
from chain.packing import pack, pack_integer, pack_kept, pack_map, pack_text
from chain.schema import Hash, Range, read
from chain.state.attested import Attested
from chain.state.electorate import Admission, Engagements, PendingSet, Phases, Slashed
from chain.state.objects import Account, Dataset, Finality, Job, Link, Model, ValidatorSet, Version, Voter

T = TypeVar("T")

#: Stands for the genesis block's id in its own state, which cannot know it; block 1 puts the id in its place.
NO_HASH: Final = Hash("0" * 64)
#: The key in tables that hold a single object.
ONLY: Final = "all"

_SNAPSHOT_FORMAT = 3
#: Tables of objects that hardly ever change, and are in every snapshot: they keep their bytes.
_LASTING: Final = frozenset({"versions", "attestations", "datasets", "models"})


@dataclass(frozen=True)
class Table(Generic[T]):
    """A table's name and the type of its values; keys are text."""

    name: str
    type: type[T]

    @property
    def plain(self) -> bool:
        """Whether its values are numbers or texts, not objects."""
        return self.type in (int, str)


ACCOUNTS: Final = Table("accounts", Account)
DATASETS: Final = Table("datasets", Dataset)
MODELS: Final = Table("models", Model)
#: Keyed ``name@number``.
VERSIONS: Final = Table("versions", Version)
#: Open jobs, and closed ones until that is final.
JOBS: Final = Table("jobs", Job)
#: Open jobs and the time from which the job's next step needs no transaction, only a block.
OPEN_JOBS: Final = Table("open_jobs", int)
#: Jobs that are closed, which is not final yet, and the height of the block that closed them.
CLOSED_JOBS: Final = Table("closed_jobs", int)
#: Ids of transactions and when they expire; after that the id is forgotten, and the transaction refused as
#: expired.
IDS: Final = Table("ids", int)
VALIDATORS: Final = Table("validators", ValidatorSet)
#: The change of the validators that is under way, if any.
PENDING_SET: Final = Table("pending_set", PendingSet)
#: Whose quorum links to the blocks above the last final one need.
PHASES: Final = Table("phases", Phases)
#: Who may vote, as far as quorums of the validators have admitted them; the sets follow.
ADMISSIONS: Final = Table("admissions", Admission)
SLASHED: Final = Table("slashed", Slashed)
ENGAGEMENTS: Final = Table("engagements", Engagements)
#: Single numbers, by the names below.
NUMBERS: Final = Table("numbers", int)
#: Amounts that misconduct has cost.
BURNED: Final = "burned"
#: Admissions must have been signed for a set with at least this serial.
ADMISSIONS_FROM: Final = "admissions_from"
FINALITY: Final = Table("finality", Finality)
#: Each validator's newest checkpoint vote.
VOTERS: Final = Table("voters", Voter)
#: Votes counted per link ``source height-target height``; on one branch the heights say which blocks.
LINKS: Final = Table("links", Link)
#: Justified blocks from the last final one on: height -> hash.
JUSTIFIED: Final = Table("justified", str)
#: Keyed as the versions.
ATTESTATIONS: Final = Table("attestations", Attested)

TABLES: Final[dict[str, Table[Any]]] = {
    table.name: table
    for table in (
        ACCOUNTS, DATASETS, MODELS, VERSIONS, JOBS, OPEN_JOBS, CLOSED_JOBS, IDS, VALIDATORS, PENDING_SET, PHASES,
        ADMISSIONS, SLASHED, ENGAGEMENTS, NUMBERS, FINALITY, VOTERS, LINKS, JUSTIFIED, ATTESTATIONS,
    )
}  # fmt: skip


def packed(table: str, value: object) -> bytes:
    """The bytes of a value of a table of objects."""
    return pack_kept(value) if table in _LASTING else pack(value)


def _packed_rows(table: Table[Any], rows: immutables.Map[str, Any]) -> bytes:
    """The bytes of a table."""
    if table.plain:
        return write_raw(dict(rows.items()))
    return pack_map({key: packed(table.name, value) for key, value in rows.items()})


def _typed(table: Table[T], value: Any) -> T:
    if table.plain:
        if type(value) is not table.type:
            raise InvalidEncoding(f"values of type {table.type.__name__}", type(value).__name__, table.name)
        return value
    return read(table.type, value)


@dataclass(frozen=True)
class _Snapshot:
    """What a snapshot holds beside its format and the tables."""

    digest: Hash
    height: Annotated[int, Range(0)]
    time: Annotated[int, Range(0)]
    genesis: Hash


@dataclass(frozen=True)
class State:
    """What the chain knows after one block.

    ``digest`` is SHA-256 over the DAG-CBOR of ``[parent's digest, [[table, key, new value or null], ...]]``,
    the changes sorted by table and key, an object that is as it was left out.  ``height`` and ``time`` are
    the block's; ``genesis`` is the id of block 0 (:data:`NO_HASH` in block 0 itself); these three follow
    from the header and are not in the digest.
    """

    digest: Hash
    height: int
    time: int
    genesis: Hash
    tables: immutables.Map[str, immutables.Map[str, Any]]

    def table(self, table: Table[T]) -> immutables.Map[str, T]:
        """One table, whole."""
        return self.tables[table.name]

    @property
    def accounts(self) -> immutables.Map[str, Account]:
        """Accounts by address."""
        return self.table(ACCOUNTS)

    @property
    def datasets(self) -> immutables.Map[str, Dataset]:
        """Datasets by name."""
        return self.table(DATASETS)

    @property
    def models(self) -> immutables.Map[str, Model]:
        """Registered models by name."""
        return self.table(MODELS)

    @property
    def versions(self) -> immutables.Map[str, Version]:
        """Versions by ``name@number``."""
        return self.table(VERSIONS)

    @property
    def jobs(self) -> immutables.Map[str, Job]:
        """Jobs by id: the open ones, and those closed by a block that is not final yet by this state.

        What is closed and final has left the state, but for the last block or so (:func:`chain.state.jobs.compact`).
        """
        return self.table(JOBS)

    @property
    def open_jobs(self) -> immutables.Map[str, int]:
        """Ids of open jobs with the block time from which their next step needs only a block."""
        return self.table(OPEN_JOBS)

    @property
    def closed_jobs(self) -> immutables.Map[str, int]:
        """Ids of closed jobs that are still in the state, with the height of the block that closed them."""
        return self.table(CLOSED_JOBS)

    @property
    def validators(self) -> ValidatorSet:
        """The validators in force; while a change of them is joint, still those from before it."""
        return self.table(VALIDATORS)[ONLY]

    @property
    def pending_set(self) -> PendingSet | None:
        """The validators to come, None while no change is under way."""
        return self.table(PENDING_SET).get(ONLY)

    def sets_at(self, height: int) -> tuple[ValidatorSet, ...]:
        """The sets whose quorum a link to the block at ``height`` of this branch needs: one, or two while joint.

        For heights above the last final one, up to the state's own block.
        """
        return self.table(PHASES)[ONLY].at(height)

    @property
    def voting_sets(self) -> tuple[ValidatorSet, ...]:
        """The sets whose quorum a link to the state's own block needs."""
        return self.sets_at(self.height)

    @property
    def admissions(self) -> immutables.Map[str, Admission]:
        """Who has a place among the validators, in force or not yet."""
        return self.table(ADMISSIONS)

    @property
    def slashed(self) -> immutables.Map[str, Slashed]:
        """Who was slashed, and why."""
        return self.table(SLASHED)

    @property
    def burned(self) -> int:
        """What misconduct has cost all in all."""
        return self.table(NUMBERS).get(BURNED, 0)

    @property
    def finality(self) -> Finality:
        """Which blocks are justified and final, as this branch tells it."""
        return self.table(FINALITY)[ONLY]

    @property
    def links(self) -> immutables.Map[str, Link]:
        """Tallies of checkpoint votes above the last final block, by ``source height-target height``."""
        return self.table(LINKS)

    @property
    def voters(self) -> immutables.Map[str, Voter]:
        """Each validator's newest checkpoint vote in the chain."""
        return self.table(VOTERS)

    @property
    def justified(self) -> immutables.Map[str, str]:
        """Hashes of the justified blocks by height (as text), from the last final one on."""
        return self.table(JUSTIFIED)

    @property
    def attestations(self) -> immutables.Map[str, Attested]:
        """Who attested which version, by ``name@number``; none where nobody did yet."""
        return self.table(ATTESTATIONS)

    @property
    def size(self) -> int:
        """How many objects there are in all tables."""
        return sum(map(len, self.tables.values()))

    def snapshot(self) -> bytes:
        """The whole state as DAG-CBOR; :meth:`from_snapshot` gives an equal state with an equal digest."""
        tables = {name: _packed_rows(TABLES[name], rows) for name, rows in self.tables.items() if rows}
        head = {"format": _SNAPSHOT_FORMAT, "height": self.height, "time": self.time}
        return pack_map(
            {
                **{name: pack_integer(number) for name, number in head.items()},
                "digest": pack_text(self.digest),
                "genesis": pack_text(self.genesis),
                "tables": pack_map(tables),
            }
        )

    @classmethod
    def from_snapshot(cls, data: bytes) -> State:
        """The state that :meth:`snapshot` wrote.

        For a node's own database: the digest is taken as written, since it is a chain over all blocks.
        Raises ``InvalidEncoding`` for anything else than a snapshot; the chain can be replayed from its
        blocks instead.
        """
        found = read_raw(data, len(data))
        if not isinstance(found, dict) or found.get("format") != _SNAPSHOT_FORMAT:
            raise InvalidEncoding(f"a state's snapshot of format {_SNAPSHOT_FORMAT}", "something else")
        head = read(_Snapshot, {name: found.get(name) for name in _Snapshot.__annotations__})
        given = found.get("tables")
        if not isinstance(given, dict) or not all(isinstance(rows, dict) for rows in given.values()):
            raise InvalidEncoding("a map of tables, each a map", shown(given), "tables")
        tables = {
            name: immutables.Map({key: _typed(table, value) for key, value in given.get(name, {}).items()})
            for name, table in TABLES.items()
        }
        return cls(head.digest, head.height, head.time, head.genesis, immutables.Map(tables))


EMPTY: Final = State(
    digest=NO_HASH,
    height=0,
    time=0,
    genesis=NO_HASH,
    tables=immutables.Map({name: immutables.Map() for name in TABLES}),
)
