"""What tests send to a node over its API, and wait for."""

from __future__ import annotations

from chain.client import NodeClient
from chain.encoding import cid_of
from chain.keys import Key
from chain.schema import Cid, Hash
from chain.transactions import OpenJob, RegisterDataset, RegisterModel, VoteCheckpoint


def content(name: str) -> Cid:
    return Cid(cid_of(name.encode()))


def dataset(name: str = "iris") -> RegisterDataset:
    return RegisterDataset(name, content("data"), content("manifest"), 150, "species", "classification")


def model(name: str = "flowers") -> RegisterModel:
    return RegisterModel(
        name, ("iris",), "classification", "accuracy", 1, 0, 1_000_000, 200_000, None,
        content("statistics"), (Hash("e" * 64),), (), (),
    )  # fmt: skip


def job(name: str = "flowers") -> OpenJob:
    return OpenJob(
        name, "iris", '{"class":"sklearn.linear_model.Ridge","params":{}}', 2, 1,
        '{"scheme":"disjoint"}', "average", 2, 1, 60_000, 60_000,
    )  # fmt: skip


def finalise(client: NodeClient, net) -> None:
    """Have three validators make the head final."""
    for _ in range(2):
        seen = client.chain()
        source, target = seen["justified"], seen["head"]
        link = VoteCheckpoint(source["hash"], source["height"], target, seen["height"])
        for sent in [client.send(link, key) for key in net.validators[:3]]:
            client.wait_transaction(sent)


def included(client: NodeClient, payload, key: Key) -> str:
    sent = client.send(payload, key)
    client.wait_transaction(sent)
    return sent
