"""A typed client of the coordinator: a job's life in five calls, and the rest of version 1.

    client = Client("http://127.0.0.1:5000")
    client.add_dataset("boston", target="medv", path="boston_housing_data.csv")
    job = client.train("boston-ridge", "boston", "sklearn.linear_model.Ridge", partitions=4)
    for document in client.watch(job): print(document["state"], document["waiting_for"])
    client.model("boston-ridge")["version"]
    client.predict("boston-ridge", [{"crim": 0.1, ...}])

Answers are the JSON documents of `coordinator.documents`, as they came.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from coordinator.documents import (
    CLOSED,
    AccountDocument,
    CertificateDocument,
    ChainDocument,
    DatasetDocument,
    DatasetList,
    Evaluation,
    JobDocument,
    JobList,
    ModelAccepted,
    ModelDocument,
    ModelList,
    Prediction,
    Readiness,
    TransactionAccepted,
    ValidatorsDocument,
    VersionDocument,
    VersionList,
)
from coordinator.transport import ClientError, CoordinatorUnavailable, Problem, Transport

__all__ = ["DEFAULT_URL", "Client", "ClientError", "CoordinatorUnavailable", "Problem"]

DEFAULT_URL = "http://127.0.0.1:5000"
Row = Mapping[str, Any] | Sequence[Any]


class Client(Transport):
    """One coordinator. Not shared between threads. Every call raises `CoordinatorUnavailable` or
    `Problem`."""

    def __init__(self, url: str = DEFAULT_URL, timeout: float = 60.0) -> None:
        """`timeout`: seconds for an answer to begin; uploads and streams may last longer."""
        super().__init__(url, timeout)

    # -- a job's life ------------------------------------------------------------------------------------

    def add_dataset(
        self,
        name: str,
        target: str,
        *,
        cid: str | None = None,
        path: Path | str | None = None,
        task: str | None = None,
    ) -> DatasetDocument:
        """Register a dataset under `name`: what a store already has (`cid`) or an upload (`path`, a CSV
        file). `task` is "classification" or "regression", guessed from the target when None. Doing it twice
        with the same content gives the same answer; another content under the name is a `Problem` 409."""
        if (cid is None) == (path is None):
            raise ValueError("give exactly one of cid and path")
        fields = {"name": name, "target": target} | ({"task": task} if task else {})
        if cid is not None:
            return self._call("POST", "/api/v1/datasets", body=fields | {"cid": cid}, form=DatasetDocument)
        with Path(cast(str, path)).open("rb") as file:
            return self._call("POST", "/api/v1/datasets", data=fields, file=file, form=DatasetDocument)

    def train(
        self,
        model: str,
        dataset: str,
        estimator: str | Mapping[str, Any],
        *,
        partitions: int = 4,
        rounds: int = 1,
        partitioning: str | Mapping[str, Any] | None = None,
        aggregation: str = "auto",
        deadline: float | None = None,
        attempts: int | None = None,
        minimum_updates: int | None = None,
        vote_deadline: float | None = None,
        reward: int | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Open a job; its id. `estimator` is a class name or `{"class": ..., "params": {...}}` or
        `{"pipeline": [...]}`; `partitioning` "disjoint", "bootstrap" or the object; `deadline` and
        `vote_deadline` in seconds (for each round, for the vote); `reward` is taken from the coordinator's wallet for
        workers and validators. A model that does not exist is registered
        first with the default policy. The same `idempotency_key` opens one job however often it is sent."""
        body: dict[str, Any] = {
            "model": model,
            "dataset": dataset,
            "estimator": (
                {"class": estimator, "params": {}} if isinstance(estimator, str) else dict(estimator)
            ),
            "partitions": partitions,
            "rounds": rounds,
            "aggregation": aggregation,
        }
        if partitioning is not None:
            body["partitioning"] = (
                {"scheme": partitioning} if isinstance(partitioning, str) else dict(partitioning)
            )
        optional = {
            "deadline": deadline,
            "attempts": attempts,
            "minimum_updates": minimum_updates,
            "vote_deadline": vote_deadline,
            "reward": reward,
        }
        body |= {key: value for key, value in optional.items() if value is not None}
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        answer = self._call("POST", "/api/v1/jobs", body=body, headers=headers, form=dict[str, Any])
        return str(answer["job"])

    def watch(self, job: str, *, after: str | None = None, patience: float = 60.0) -> Iterator[JobDocument]:
        """The job each time it changes, first as it is now, until it is closed and that is final. A broken
        stream is resumed where it broke, for `patience` seconds without an answer; then
        `CoordinatorUnavailable`."""
        last, silent_since = after, time.monotonic()
        while True:
            try:
                for identity, data in self._stream(f"/api/v1/jobs/{job}/events", last):
                    last, silent_since = identity or last, time.monotonic()
                    document = cast(JobDocument, json.loads(data))
                    yield document
                    if document["state"] in CLOSED and document["final"]:
                        return
            except CoordinatorUnavailable:
                if time.monotonic() - silent_since > patience:
                    raise
            except Problem as problem:
                if problem.status != 503 or time.monotonic() - silent_since > patience:
                    raise
            time.sleep(0.5)  # a stream that ends early is opened again, not at full speed

    def model(self, name: str) -> ModelDocument:
        """A registered model, its policy and the version in service."""
        return self._call("GET", f"/api/v1/models/{name}", form=ModelDocument)

    def predict(self, model: str, rows: Sequence[Row]) -> Prediction:
        """Predictions of the version in service; each row an object by feature name or an array in feature
        order."""
        path = f"/api/v1/models/{model}/predict"
        return self._call("POST", path, body={"rows": list(rows)}, form=Prediction)

    # -- datasets, models, jobs --------------------------------------------------------------------------

    def dataset(self, name: str) -> DatasetDocument:
        return self._call("GET", f"/api/v1/datasets/{name}", form=DatasetDocument)

    def datasets(self) -> list[DatasetDocument]:
        return list(self._pages("/api/v1/datasets", "datasets", DatasetList))

    def register_model(
        self,
        name: str,
        datasets: Sequence[str],
        *,
        task: str | None = None,
        metric: str | None = None,
        minimum_improvement: float = 0.0,
        holdout_fraction: float | None = None,
        holdout_dataset: str | None = None,
        openers: Sequence[str] = (),
        workers: Sequence[str] = (),
    ) -> ModelAccepted:
        """Register a model with its policy. Without a holdout, a fifth of the rows; without a metric,
        accuracy or r2."""
        body: dict[str, Any] = {"name": name, "datasets": list(datasets)}
        body |= {"minimum_improvement": minimum_improvement}
        body |= {"openers": list(openers), "workers": list(workers)}
        body |= {key: value for key, value in (("task", task), ("metric", metric)) if value is not None}
        if holdout_dataset is not None:
            body["holdout"] = {"dataset": holdout_dataset}
        elif holdout_fraction is not None:
            body["holdout"] = {"fraction": holdout_fraction}
        return self._call("POST", "/api/v1/models", body=body, form=ModelAccepted)

    def models(self) -> list[ModelDocument]:
        return list(self._pages("/api/v1/models", "models", ModelList))

    def versions(self, model: str) -> list[VersionDocument]:
        return list(self._pages(f"/api/v1/models/{model}/versions", "versions", VersionList))

    def version(self, model: str, number: int) -> VersionDocument:
        return self._call("GET", f"/api/v1/models/{model}/versions/{number}", form=VersionDocument)

    def certificate(self, model: str, number: int) -> CertificateDocument:
        """The version's adoption certificate; `chain.certificates.Certificate.from_document` reads it and `verify`
        there checks it. A `Problem` 404 says what is missing while there is none."""
        return self._call("GET", f"/api/v1/models/{model}/versions/{number}/certificate", form=CertificateDocument)

    def evaluation(self, model: str) -> Evaluation:
        """Metrics of the version in service on the holdout, computed by the coordinator."""
        return self._call("GET", f"/api/v1/models/{model}/evaluation", form=Evaluation)

    def job(self, job: str) -> JobDocument:
        return self._call("GET", f"/api/v1/jobs/{job}", form=JobDocument)

    def jobs(self, state: str | None = None) -> list[JobDocument]:
        """All jobs, newest first; `state` one of the states, or "open"."""
        return list(self._pages("/api/v1/jobs", "jobs", JobList, {"state": state} if state else {}))

    def cancel(self, job: str) -> TransactionAccepted:
        """Cancel a job that has no candidate yet."""
        return self._call("DELETE", f"/api/v1/jobs/{job}", form=TransactionAccepted)

    # -- the chain ---------------------------------------------------------------------------------------

    def chain(self) -> ChainDocument:
        return self._call("GET", "/api/v1/chain", form=ChainDocument)

    def blocks(self, limit: int = 20, cursor: str | None = None) -> list[dict[str, Any]]:
        """The newest blocks, or those from height `cursor` downwards."""
        query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        page = self._call("GET", "/api/v1/chain/blocks", query=query, form=dict[str, Any])
        return cast("list[dict[str, Any]]", page["blocks"])

    def block(self, which: int | str) -> dict[str, Any]:
        """One block, by height or hash."""
        return self._call("GET", f"/api/v1/chain/blocks/{which}", form=dict[str, Any])

    def transaction(self, transaction: str) -> dict[str, Any]:
        return self._call("GET", f"/api/v1/chain/transactions/{transaction}", form=dict[str, Any])

    def submit(self, signed: bytes) -> TransactionAccepted:
        """Hand in a signed transaction as DAG-CBOR."""
        headers = {"Content-Type": "application/vnd.ipld.dag-cbor"}
        return self._call(
            "POST", "/api/v1/chain/transactions", data=signed, headers=headers, form=TransactionAccepted
        )

    def log(self) -> Iterator[str]:
        """Lines of blockchain.log as they are written, until the stream ends."""
        for _, data in self._stream("/api/v1/chain/log", None):
            yield data

    def account(self, address: str) -> AccountDocument:
        return self._call("GET", f"/api/v1/accounts/{address}", form=AccountDocument)

    def validators(self) -> ValidatorsDocument:
        return self._call("GET", "/api/v1/validators", form=ValidatorsDocument)

    # -- the service -------------------------------------------------------------------------------------

    def ready(self) -> Readiness:
        """Readiness by part; an answer, not an error, while something is missing."""
        response = self._send("GET", "/readyz")
        document = self._json(response)
        if response.status_code not in (200, 503) or "parts" not in document:
            raise self._problem(response)
        return cast(Readiness, document)

    def wait_ready(self, timeout: float = 60.0) -> Readiness:
        """Wait until jobs can run. After `timeout` seconds the last answer, or `CoordinatorUnavailable`."""
        deadline = time.monotonic() + timeout
        while True:
            late = time.monotonic() >= deadline
            try:
                readiness = self.ready()
            except CoordinatorUnavailable:
                if late:
                    raise
            else:
                if readiness["ready"] or late:
                    return readiness
            time.sleep(0.1)
