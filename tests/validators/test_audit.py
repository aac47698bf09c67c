"""An audit trusts nobody: what stands in the chain is done again, and the chain itself is checked from its genesis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain.schema import Cid, Hash
from chain.state import version_key
from ipfs import open_store
from ipfs.errors import ContentMissing
from learning.encoded import forget
from validators.audit import AuditError, CheckedChain, audit, check_chain, find_version


@pytest.fixture(scope="module")
def adopted(network: Any) -> Any:
    """An adopted job on a real network, whose end is final."""
    job = network.job()
    network.work(job)
    return network.final(job)


def checked(network: Any, number: int | None = None) -> CheckedChain:
    return check_chain(network.node, network.genesis, lambda *_: None, "iris", number)


def test_the_chain_is_checked_block_by_block_to_the_node_s_own_state(network: Any, adopted: Any) -> None:
    heights: list[int] = []
    chain = check_chain(network.node, network.genesis, lambda height, of: heights.append(height), "iris")
    assert heights == list(range(1, chain.height + 1))
    assert chain.jobs[adopted.id] == adopted
    assert chain.genesis == network.node.genesis_hash()


def test_without_a_genesis_the_node_s_own_is_taken(network: Any, adopted: Any) -> None:
    assert check_chain(network.node, None, lambda *_: None).genesis == network.node.genesis_hash()


def test_an_honest_version_is_verified(network: Any, adopted: Any) -> None:
    told: list[Any] = []
    found = audit(checked(network), "iris", adopted.version, network.lab.store, network.folder, told.append)
    assert (found.verdict, found.final, found.foreign) == ("verified", True, ())
    assert tuple(told) == found.checks
    assert [check.kind for check in found.checks] == ["update", "update", "aggregate"]
    comparisons = {comparison.what: comparison for comparison in found.comparisons}
    assert comparisons["candidate"].found == adopted.candidate.artifact
    assert comparisons["approvals reach the quorum"].matches


def test_approvals_are_counted_by_the_set_that_adopted_the_version(network: Any, adopted: Any) -> None:
    chain = checked(network)
    key = version_key("iris", adopted.version)
    assert chain.electorates[key] == chain.state.validators
    strangers = replace(chain.state.validators, members=tuple("0x" + f"{i}" * 40 for i in range(4)))
    spoiled = replace(chain, electorates={key: strangers})
    found = audit(spoiled, "iris", adopted.version, network.lab.store, network.folder, lambda _: None)
    assert found.verdict == "refuted"


def test_the_version_in_service_is_taken_where_none_is_named(network: Any, adopted: Any) -> None:
    chain = checked(network)
    assert find_version(chain, "iris", None)[1].number == chain.state.models["iris"].in_service
    with pytest.raises(AuditError, match="no version 99"):
        find_version(chain, "iris", 99)
    with pytest.raises(AuditError, match="no model 'nobody'; it has iris"):
        find_version(chain, "nobody", None)


def test_only_the_jobs_behind_the_version_are_kept(network: Any, adopted: Any) -> None:
    """They have left the state by the time the audit looks at them, and all jobs there ever were would be too many."""
    second = network.job()
    network.work(second)
    newest = network.final(second)
    assert newest.version == adopted.version + 1
    assert set(checked(network).jobs) == {adopted.id, newest.id}
    assert set(checked(network, adopted.version).jobs) == {adopted.id}
    assert not check_chain(network.node, network.genesis, lambda *_: None, "another").jobs
    with pytest.raises(AuditError, match="were not kept"):
        find_version(checked(network, adopted.version), "iris", newest.version)
    found = audit(checked(network), "iris", None, network.lab.store, network.folder, lambda _: None)
    assert f"score of version {adopted.version}" in {comparison.what for comparison in found.comparisons}


def test_another_genesis_is_refuted(network: Any, adopted: Any) -> None:
    with pytest.raises(AuditError, match="the node's network starts at"):
        check_chain(network.node, replace(network.genesis, note="another"), lambda *_: None)
    with pytest.raises(AuditError, match="is unknown"):
        check_chain(network.node, replace(network.genesis, network="mars"), lambda *_: None)


class Spoiled:
    """The node, with one block otherwise."""

    def __init__(self, node: Any, height: int, change: Any) -> None:
        self._node, self._height, self._change = node, height, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    def raw_block(self, height: int) -> bytes | None:
        data: bytes | None = self._node.raw_block(height)
        return self._change(data) if height == self._height else data


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: None, "has no block at height 3"),
        (lambda data: data[:-1], "block 3 does not hold"),
        (lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], "block 3 does not hold"),
        (lambda data: data[:-70] + bytes([data[-70] ^ 1]) + data[-69:], "block 3 does not hold"),
    ],
)
def test_a_chain_with_a_block_missing_or_changed_does_not_hold(
    network: Any, adopted: Any, change: Any, said: str
) -> None:
    with pytest.raises(AuditError, match=said):
        check_chain(Spoiled(network.node, 3, change), network.genesis, lambda *_: None)  # type: ignore[arg-type]


def test_nor_one_that_skips_a_block(network: Any, adopted: Any) -> None:
    spoiled = Spoiled(network.node, 3, lambda _: network.node.raw_block(4))
    with pytest.raises(AuditError, match="block 3 does not hold"):
        check_chain(spoiled, network.genesis, lambda *_: None)  # type: ignore[arg-type]


# What no honest quorum would adopt, written into the state that an audit is given.


def forge(chain: CheckedChain, table: str, key: str, value: Any) -> CheckedChain:
    tables = chain.state.tables
    return replace(chain, state=replace(chain.state, tables=tables.set(table, tables[table].set(key, value))))


def with_job(chain: CheckedChain, job: Any) -> CheckedChain:
    return replace(chain, jobs={**chain.jobs, job.id: job})


def with_update(job: Any, **lies: Any) -> Any:
    (round_,) = job.round_list
    first = round_.partitions[0]
    first = replace(first, update=replace(first.update, **lies))
    return replace(job, round_list=(replace(round_, partitions=(first, *round_.partitions[1:])),))


@pytest.mark.parametrize("lie", [{"score": 1}, {"rows": 1}, {"artifact": "other"}])
def test_a_forged_update_is_refuted(network: Any, adopted: Any, lie: dict[str, Any]) -> None:
    if "artifact" in lie:
        lie = {"artifact": adopted.round_list[0].updates[1].artifact}
    forged = with_job(checked(network), with_update(adopted, **lie))
    found = audit(forged, "iris", adopted.version, network.lab.store, network.folder, lambda _: None)
    assert found.verdict == "refuted"
    assert next(check.partition for check in found.checks if not check.matches) == 0


@pytest.mark.parametrize(("field", "value"), [("score", 1), ("candidate", Cid("bafkqaaa")), ("approvals", ())])
def test_a_version_that_is_not_what_came_out_is_refuted(network: Any, adopted: Any, field: str, value: Any) -> None:
    chain = checked(network)
    key = f"iris@{adopted.version}"
    version = replace(chain.state.versions[key], **{field: value})
    forged = forge(chain, "versions", key, version)
    found = audit(forged, "iris", adopted.version, network.lab.store, network.folder, lambda _: None)
    assert found.verdict == "refuted"
    assert not all(comparison.matches for comparison in found.comparisons)


def test_what_was_made_in_another_environment_leaves_it_undecided(network: Any, adopted: Any) -> None:
    forged = with_job(checked(network), with_update(adopted, environment=Hash("f" * 64)))
    found = audit(forged, "iris", adopted.version, network.lab.store, network.folder, lambda _: None)
    assert found.verdict == "undecided"
    assert found.foreign == (adopted.round_list[0].updates[0].id,)


def test_a_dataset_that_is_not_what_was_registered_is_an_error(network: Any, adopted: Any) -> None:
    chain = checked(network)
    false = replace(chain.state.datasets["iris"], manifest=Cid(network.lab.store.add(b"{}")))
    forged = forge(chain, "datasets", "iris", false)
    with pytest.raises(AuditError, match="cannot have been made as stated"):
        audit(forged, "iris", adopted.version, network.lab.store, network.folder, lambda _: None)


def test_without_the_content_there_is_no_verdict(network: Any, adopted: Any, tmp_path: Any) -> None:
    forget()
    with pytest.raises(ContentMissing):
        audit(checked(network), "iris", adopted.version, open_store(tmp_path / "empty"), tmp_path, lambda _: None)
