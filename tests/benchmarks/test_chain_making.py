"""The chains that measurements are made with."""

from __future__ import annotations

from contextlib import closing

import pytest

from benchmarks.chain import __main__ as command
from benchmarks.chain.making import Recipe, made, receive, write_folder
from chain.node.core import Node
from chain.params import DEVELOPMENT
from chain.schema import Address
from chain.store import Store

MINER = Address("0x" + "cd" * 20)
FLEET = {
    "register_dataset", "register_model", "open_job", "claim_partition", "submit_update", "submit_aggregate",
    "vote_model", "vote_checkpoint", "attest", "transfer",
}  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "kinds"),
    [
        (Recipe(700, 60), FLEET),
        (Recipe(300, 1, validators=1), FLEET),
        (Recipe(200, 30, "transfer"), {"transfer", "vote_checkpoint"}),
    ],
    ids=["fleet", "one by one", "transfers"],
)
def test_a_node_takes_every_block_and_the_chain_ends_settled(tmp_path, recipe, kinds):
    chain = made(recipe, tmp_path)
    assert set(chain.kinds()) == kinds
    assert recipe.transactions <= chain.kinds().total() <= recipe.transactions + 8 * recipe.validators
    with closing(Store(None)) as store:
        node = Node(chain.genesis, chain.params, store, lambda: 1_800_000_000_000, MINER)
        receive(node, chain.blocks)
        assert node.head.height == len(chain.blocks)
        assert not node.head.state.open_jobs
        assert node.head.state.finality.settled


def test_equal_recipes_give_equal_blocks(tmp_path):
    recipe = Recipe(150, 30)
    assert made(recipe, tmp_path / "one") == made(recipe, tmp_path / "two")
    assert made(recipe, tmp_path / "one").blocks != made(Recipe(150, 31), tmp_path / "one").blocks


def test_a_node_takes_up_the_folder_that_was_written(tmp_path, capsys):
    arguments = ["--transactions", "120", "--per-block", "30", "--cache", str(tmp_path / "cache")]
    assert command.main(["make", *arguments, "--data", str(tmp_path / "data")]) == 0
    assert "transfer" in capsys.readouterr().out
    chain = made(Recipe(120, 30), tmp_path / "cache")
    with closing(Store(tmp_path / "data" / "node" / "chain.sqlite")) as store:
        node = Node(chain.genesis, DEVELOPMENT, store, lambda: 1_800_000_000_000, MINER)
        assert node.head.height == len(chain.blocks)
    assert write_folder(chain, tmp_path / "other") is None
    assert (tmp_path / "other" / "node" / "genesis.json").read_text() == chain.genesis.to_json()
