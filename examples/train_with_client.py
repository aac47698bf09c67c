"""A model's life in five calls, on a fleet that runs (`assay up`).

    .venv/bin/python examples/train_with_client.py [URL]
"""

# ruff: noqa: T201 - an example shows what it got

from __future__ import annotations

import sys
from pathlib import Path

from coordinator.client import DEFAULT_URL, Client

IRIS = Path(__file__).parents[1] / "datasets" / "iris.csv"


def main(url: str = DEFAULT_URL) -> int:
    """Add Iris, train on it, watch the job, look at the model, predict; 0 when a version was adopted."""
    with Client(url) as client:
        # 1. The dataset: here an upload; `cid=` names content that is on IPFS already. Again is no error.
        dataset = client.add_dataset("iris", target="species", path=IRIS)
        print(f"dataset    {dataset['rows']} rows, {dataset['cid']}")

        # 2. The job. The model "iris-example" is registered with the first one: accuracy on a fifth of the rows.
        job = client.train("iris-example", "iris", "sklearn.naive_bayes.GaussianNB", partitions=4)
        print(f"job        {job}")

        # 3. Each change, until the job has ended and that is final.
        for document in client.watch(job):
            waiting = document["waiting_for"]
            print(f"{document['state']:<10} {waiting['what'] if waiting else document['reason'] or ''}")

        # 4. The model, with the version that serves.
        version = client.model("iris-example")["version"]
        if version is None:
            return 1
        print(f"version    {version['version']}, score {version['score']}, {len(version['approvals'])} approvals")

        # 5. A prediction; a row is a list in the order of the columns, or an object by name.
        answer = client.predict("iris-example", [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]])
        print(f"predict    {answer['predictions']} by version {answer['version']}")
        return 0 if document["adopted"] else 1


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:2]))
