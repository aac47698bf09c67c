"""Sign a transaction with a key of your own and hand it to a node: no coordinator has to be asked.

    .venv/bin/python examples/own_transaction.py [DATA]

DATA is the folder of a fleet that runs (`assay up`), `assay-data` by default. Its wallet `coordinator` pays the
wallet `alice`, which is made where there is none.
"""

# ruff: noqa: T201 - an example shows what it got

from __future__ import annotations

import json
import sys

from chain.client import NodeClient
from chain.encoding import to_json
from chain.transactions import Signed, Transfer
from chain.wallets import Wallets
from runtime.settings import DEFAULT, DataFolder

AMOUNT = 5_000


def main(data: str = str(DEFAULT)) -> int:
    """Send AMOUNT to alice, wait until that is final, show the transaction; 0 when alice has it."""
    folder = DataFolder(data)
    wallets = Wallets(folder.wallets)
    payer, alice = wallets.load("coordinator"), wallets.ensure("alice")
    node = NodeClient(folder.read_endpoints()["node"])
    before = node.account(alice.address).balance

    # The body names sender, network (the genesis block's hash), a random salt and an expiry; its CID is the
    # transaction's id. `prepare` fills these in and signs; nothing is sent yet.
    signed = node.prepare(Transfer(recipient=alice.address, amount=AMOUNT), payer)
    print(json.dumps(json.loads(to_json(signed.to_object())), indent=2))

    # What travels is bytes, and whoever gets them can check them.
    Signed.decode(signed.data).verify()

    # "pending" means that the node has it on its disk. The identical bytes may be sent again, they count once.
    print(f"id         {node.submit(signed)}")
    standing = node.wait_transaction(signed.id, "final", 30.0)
    print(f"{standing['status']:<10} in block {standing['height']}")

    after = node.account(alice.address).balance
    print(f"alice      {alice.address} had {before}, has {after}")
    return 0 if after == before + AMOUNT else 1


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:2]))
