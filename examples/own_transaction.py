"""Sign a transaction with a key of your own and hand it to a node: no coordinator has to be asked.

    .venv/bin/python examples/own_transaction.py [DATA] [--wallet NAME]

DATA is the folder of a fleet that runs (`assay up`), or of an organisation's services, `assay-data` by default. Its
wallet `coordinator`, or NAME, pays the wallet `alice`, which is made where there is none. In a consortium nobody has
coins, and the transaction moves nothing: it becomes final all the same.
"""

# ruff: noqa: T201 - an example shows what it got

from __future__ import annotations

import argparse
import json
import sys

from chain.answers import NodeError
from chain.client import NodeClient
from chain.encoding import to_json
from chain.errors import WalletError
from chain.transactions import Signed, Transfer
from chain.wallets import Wallets
from runtime.endpoints import answering
from runtime.settings import DEFAULT, DataFolder, EndpointsError

NODE_URL = "http://127.0.0.1:7001"
AMOUNT = 5_000


def main(data: str, wallet: str) -> int:
    """Send AMOUNT, or what the wallet has, to alice, wait until that is final, show the transaction; 0 when alice has
    it. Raises WalletError, EndpointsError and NodeError."""
    folder = DataFolder(data)
    wallets = Wallets(folder.wallets)
    payer, node = wallets.load(wallet), NodeClient(answering(folder).get("node", NODE_URL))
    alice = wallets.ensure("alice")
    before = node.account(alice.address).balance
    amount = min(AMOUNT, node.account(payer.address).balance)

    # The body names sender, network (the genesis block's hash), a random salt and an expiry; its CID is the
    # transaction's id. `prepare` fills these in and signs; nothing is sent yet.
    signed = node.prepare(Transfer(recipient=alice.address, amount=amount), payer)
    print(json.dumps(json.loads(to_json(signed.to_object())), indent=2))

    # What travels is bytes, and whoever gets them can check them.
    Signed.decode(signed.data).verify()

    # "pending" means that the node has it on its disk. The identical bytes may be sent again, they count once.
    print(f"id         {node.submit(signed)}")
    standing = node.wait_transaction(signed.id, "final", 30.0)
    print(f"{standing['status']:<10} in block {standing['height']}")

    after = node.account(alice.address).balance
    print(f"alice      {alice.address} had {before}, has {after}")
    return 0 if after == before + amount else 1


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", nargs="?", default=str(DEFAULT), metavar="DATA")
    options.add_argument("--wallet", default="coordinator", metavar="NAME")
    given = options.parse_args()
    try:
        sys.exit(main(given.data, given.wallet))
    except (WalletError, EndpointsError, NodeError) as error:
        sys.exit(f"Error: {error}")
