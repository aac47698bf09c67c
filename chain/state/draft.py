"""The draft in which a block changes the state, and the digest over the changes."""

from __future__ import annotations

import hashlib
from typing import Any, Final, TypeVar

import immutables

from chain.encoding import list_head, write_raw
from chain.fields import integer
from chain.packing import NULL, pack_text
from chain.schema import Hash
from chain.state.tables import ONLY, TABLES, State, Table, packed

T = TypeVar("T")

_MISSING: Final = object()


class Draft:
    """Changes on top of a state, collected for a block; those of a transaction come in whole or not."""

    def __init__(self, base: State) -> None:
        """No changes yet."""
        self.base = base
        self._old = dict(base.tables)
        """The parent's tables, in what is asked faster."""
        self._changes: dict[str, dict[str, Any]] = {name: {} for name in TABLES}
        """By table and key; None for what is forgotten."""
        self._undo: list[tuple[dict[str, Any], str, Any]] | None = None
        """Of the transaction under way: the rows it changed, and what was there before (or nothing), in order."""

    def get(self, table: Table[T], key: str) -> T | None:
        """The object as changed so far, None where there is none."""
        name = table.name
        found: T | None = self._changes[name].get(key, _MISSING)
        return self._old[name].get(key) if found is _MISSING else found

    def only(self, table: Table[T]) -> T:
        """The object of a table that holds a single one."""
        found = self.get(table, ONLY)
        if found is None:
            raise LookupError(f"table {table.name} is empty: the state was not made by genesis_state()")
        return found

    def keys(self, table: Table[T]) -> list[str]:
        """All keys of a table as changed so far, sorted."""
        keys = set(self._old[table.name])
        for key, value in self._changes[table.name].items():
            (keys.discard if value is None else keys.add)(key)
        return sorted(keys)

    def put(self, table: Table[T], key: str, value: T) -> None:
        """Set an object."""
        self._set(table.name, key, value)

    def remove(self, table: Table[T], key: str) -> None:
        """Forget an object."""
        self._set(table.name, key, None)

    def _set(self, name: str, key: str, value: Any) -> None:
        rows = self._changes[name]
        if self._undo is not None:
            self._undo.append((rows, key, rows.get(key, _MISSING)))
        rows[key] = value

    def begin(self) -> None:
        """Changes from here on are a transaction's: to be kept or dropped together."""
        if self._undo is not None:
            raise RuntimeError("transactions do not nest")
        self._undo = []

    def keep(self) -> None:
        """The transaction ended well."""
        self._undo = None

    def drop(self) -> None:
        """The transaction failed: what it changed is forgotten."""
        undo, self._undo = self._undo or [], None
        for rows, key, before in reversed(undo):
            if before is _MISSING:
                rows.pop(key, None)
            else:
                rows[key] = before

    def finish(self, height: int, time: int, genesis: Hash) -> State:
        """The state with all changes in it, and its digest."""
        changed: list[bytes] = []
        count, tables = 0, self.base.tables
        for name in sorted(name for name, rows in self._changes.items() if rows):
            old = self._old[name]
            new = _differing(old, self._changes[name])
            put = {key: value for key, value in new.items() if value is not None}
            with old.mutate() as mutation:
                mutation.update(put)
                if len(put) < len(new):
                    for key in new.keys() - put.keys():
                        del mutation[key]
                tables = tables.set(name, mutation.finish())
            changed.append(_packed_changes(TABLES[name], new))
            count += len(new)
        digest = hashlib.sha256(list_head(2) + write_raw(self.base.digest) + list_head(count))
        digest.update(b"".join(changed))
        return State(Hash(digest.hexdigest()), height, time, genesis, tables)


def _differing(old: immutables.Map[str, Any], rows: dict[str, Any]) -> dict[str, Any]:
    """The rows that are not as they were, sorted by key."""
    found = {}
    for key in sorted(rows):
        value, before = rows[key], old.get(key)
        if before is not value and before != value:
            found[key] = value
    return found


def _packed_changes(table: Table[Any], rows: dict[str, Any]) -> bytes:
    """The bytes of [table, key, new value or null] for each row, one after another. Raises ``InvalidEncoding``.

    Packed item by item where they are objects: a block may open thousands of rounds of hundreds of partitions, and
    changes few parts of what there is.
    """
    if table.plain:
        for value in rows.values():
            if type(value) is int:
                integer(value)  # DAG-CBOR could hold some more
        return write_raw([[table.name, key, value] for key, value in rows.items()])[len(list_head(len(rows))) :]
    head = list_head(3) + pack_text(table.name)
    parts: list[bytes] = []
    for key, value in rows.items():
        parts += head, pack_text(key), NULL if value is None else packed(table.name, value)
    return b"".join(parts)
