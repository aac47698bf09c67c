"""Tables come from the data alone, whatever a manifest or a cache says."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from learning.errors import InvalidData
from learning.manifest import Column, Manifest, build_manifest
from learning.tables import Table, load_table

CID = "bafkreie4yhbulry3zsnuq23uzp3amp5gn5f3lyhwaoslhq2hd3bol2hdku"
CSV = b"word,count,size,flag\nb,1,0.5,true\n,2,,false\na,,1.5,\n"


@pytest.fixture
def store(served: Any) -> Any:
    served.content[CID] = CSV
    return served


@pytest.fixture
def manifest() -> Manifest:
    return build_manifest(io.BytesIO(CSV))


def same(one: Table, other: Table) -> bool:
    return one.manifest == other.manifest and all(
        np.array_equal(one.column(name), other.column(name), equal_nan=name != "word")
        for name in one.manifest.names
    )


def test_columns_are_doubles_with_nan_or_objects_with_none(store: Any, manifest: Manifest) -> None:
    table = load_table(store.open, CID, manifest, None)
    assert table.rows == 3
    assert table.column("word").tolist() == ["b", None, "a"]
    np.testing.assert_array_equal(table.column("count"), [1.0, 2.0, np.nan])
    np.testing.assert_array_equal(table.column("size"), [0.5, np.nan, 1.5])
    np.testing.assert_array_equal(table.column("flag"), [1.0, 0.0, np.nan])
    assert {str(table.column(name).dtype) for name in ("count", "size", "flag")} == {"float64"}
    with pytest.raises(ValueError, match="read-only"):
        table.column("size")[0] = 2.0
    with pytest.raises(InvalidData, match="no column 'sizes'; the columns are word, count, size, flag"):
        table.column("sizes")


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ({"rows": 4}, "it claims 4 rows, the data have 3"),
        ({"column": {"name": "counts"}}, "it claims the columns word, counts, size, flag, the data have"),
        ({"column": {"type": "number"}}, "it claims the type number for 'count', the data make it integer"),
        ({"column": {"missing": 0}}, "it claims 0 missing values in 'count', the data have 1"),
        ({"word": {"categories": ("a", "b", "c")}}, "it claims other categories for 'word'"),
    ],
)
@pytest.mark.parametrize("cached", [False, True])
def test_a_lying_manifest_is_refused(
    lie: dict[str, Any], message: str, cached: bool, store: Any, manifest: Manifest, tmp_path: Path
) -> None:
    word, count, *others = manifest.columns
    columns: tuple[Column, ...] = (
        dataclasses.replace(word, **lie.get("word", {})),
        dataclasses.replace(count, **lie.get("column", {})),
        *others,
    )
    lying = Manifest(lie.get("rows", 3), columns, "csv")
    folder = tmp_path if cached else None
    if cached:
        load_table(store.open, CID, manifest, folder)
    with pytest.raises(InvalidData, match=message):
        load_table(store.open, CID, lying, folder)


def test_the_second_read_comes_from_the_cache(store: Any, manifest: Manifest, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "tables"
    first = load_table(store.open, CID, manifest, folder)
    store.opened.clear()
    again = load_table(store.open, CID, manifest, folder)
    assert store.opened == []
    assert same(first, again)
    assert sorted(path.name for path in folder.iterdir()) == [f"{CID}.arrow", f"{CID}.sha256"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    digest = hashlib.sha256((folder / f"{CID}.arrow").read_bytes()).hexdigest()
    assert (folder / f"{CID}.sha256").read_text() == digest + "\n"


def flip(folder: Path) -> None:
    path = folder / f"{CID}.arrow"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(folder: Path) -> None:
    path = folder / f"{CID}.arrow"
    os.truncate(path, path.stat().st_size - 10)


def forget(folder: Path) -> None:
    (folder / f"{CID}.sha256").unlink()


def garble(folder: Path) -> None:
    (folder / f"{CID}.sha256").write_bytes(b"\xff")


def no_arrow(folder: Path) -> None:
    (folder / f"{CID}.arrow").write_bytes(b"hello")
    (folder / f"{CID}.sha256").write_text(hashlib.sha256(b"hello").hexdigest())


def open_to_all(folder: Path) -> None:
    (folder / f"{CID}.arrow").chmod(0o666)


@pytest.mark.parametrize("damage", [flip, cut, forget, garble, no_arrow, open_to_all])
def test_a_cache_that_cannot_be_relied_on_is_made_anew(
    damage: Any, store: Any, manifest: Manifest, tmp_path: Path
) -> None:
    first = load_table(store.open, CID, manifest, tmp_path)
    damage(tmp_path)
    store.opened.clear()
    assert same(load_table(store.open, CID, manifest, tmp_path), first)
    assert store.opened == [CID]
    load_table(store.open, CID, manifest, tmp_path)
    assert store.opened == [CID]


def test_a_cache_of_another_format_is_made_anew(
    store: Any, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_table(store.open, CID, manifest, tmp_path)
    monkeypatch.setattr("learning.tables.FORMAT_VERSION", 2)
    store.opened.clear()
    load_table(store.open, CID, manifest, tmp_path)
    assert store.opened == [CID]


@pytest.mark.parametrize("cid", ["../../etc/passwd", "", "a/b", "baf kre", "b" * 200])
def test_only_cids_name_cache_files(cid: str, store: Any, manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="is no CID"):
        load_table(store.open, cid, manifest, tmp_path)
    assert store.opened == []


def test_what_the_store_says_passes_through(store: Any, manifest: Manifest, tmp_path: Path) -> None:
    del store.content[CID]
    with pytest.raises(KeyError):
        load_table(store.open, CID, manifest, tmp_path)
    assert list(tmp_path.iterdir()) == []
