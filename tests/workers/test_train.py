"""One partition: claimed, fetched, trained, pinned, submitted; or why not, in the words of the chain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain.client import NodeUnavailable, TransactionRefused, WaitTimeout
from chain.schema import Cid
from chain.transactions import ClaimPartition, ReportFailure, SubmitUpdate
from learning.encoded import forget
from learning.errors import InvalidData
from learning.session import Session
from workers.train import base_of, train_partition, why_not


def raising(error: BaseException) -> Any:
    class Failing(Session):
        def train(self, *_: Any) -> Any:
            raise error

    return lambda recipe, store, cache: Failing(recipe, store.open, cache)


def train(lab: Any, job: Any, key: Any = None, partition: int = 0, **context: Any) -> str:
    job = lab.now(job)
    found = lab.context(key or lab.alice, **context)
    return str(train_partition(found, job.id, job.attempt, max(0, len(job.round_list) - 1), partition))


def failure(lab: Any, job: Any, partition: int = 0) -> Any:
    (found,) = lab.now(job).round_list[-1].partitions[partition].failures
    return found


def test_it_claims_trains_pins_and_submits(iris: Any) -> None:
    job = iris.open()
    assert train(iris, job) == "submitted"
    assert [type(payload) for payload in iris.sent[-2:]] == [ClaimPartition, SubmitUpdate]
    update = iris.now(job).round_list[0].partitions[0].update
    expected = iris.honest_update(job, 1)
    assert (update.worker, update.seed, update.base) == (iris.alice.address, job.seed, None)
    assert (update.environment, update.rows) == (expected.environment, len(iris.session(job).partition_rows(0, 0)))
    assert update.artifact in set(iris.store.pins())


def test_run_twice_it_changes_nothing(iris: Any) -> None:
    job = iris.open()
    train(iris, job)
    before = iris.state
    assert train(iris, job) == "done already"
    assert train(iris, job, iris.bob) == "done already"
    assert iris.state is before


def test_a_later_round_starts_from_the_aggregate_which_is_recomputed(iris: Any, lab_module: Any) -> None:
    job = iris.open(lab_module.LOGISTIC, rounds=2)
    for partition in (0, 1):
        train(iris, job, partition=partition)
    iris.aggregate(job, iris.alice)
    assert train(iris, job) == "submitted"
    update = iris.now(job).round_list[1].partitions[0].update
    assert update.base == iris.now(job).round_list[0].aggregates[0].artifact


def test_on_a_false_aggregate_nobody_builds(iris: Any, lab_module: Any) -> None:
    job = iris.open(lab_module.LOGISTIC, rounds=2)
    for partition in (0, 1):
        train(iris, job, partition=partition)
    false = replace(iris.honest_aggregate(job), artifact=iris.now(job).round_list[0].updates[0].artifact)
    iris.send(false, iris.alice)
    assert "none of the aggregates of round 0" in train(iris, job, iris.bob)
    assert failure(iris, job).code == "invalid_artifact"


def test_a_job_that_a_reorganisation_put_into_another_block_is_trained_with_its_new_seed(iris: Any) -> None:
    opened: list[Any] = []
    submit, before = iris.submit, (iris.state, list(iris.ids))
    iris.submit = lambda signed: opened.append(signed) or submit(signed)
    job = iris.open()
    worker = iris.context(iris.alice)
    assert train_partition(worker, job.id, 0, 0, 0) == "submitted"
    iris.state, iris.ids = before
    iris.block()
    iris.block(opened[0])
    iris.block()
    assert iris.now(job).seed != job.seed
    assert train_partition(worker, job.id, 0, 0, 0) == "submitted"
    assert iris.now(job).round_list[0].partitions[0].update.seed == iris.now(job).seed


def test_in_round_0_there_is_no_base(iris: Any) -> None:
    job = iris.open()
    assert base_of(iris.context(iris.alice), job, 0) is None


# Why not


def test_what_the_chain_does_not_want_is_left_without_a_word_to_it(iris: Any) -> None:
    job = iris.open()
    me = iris.alice.address
    assert why_not(None, 0, 0, 0, me) == "the node knows no such job"
    assert why_not(job, 0, 0, 0, me) == ""
    assert why_not(job, 1, 0, 0, me) == "the job is training, attempt 0, round 0"
    assert why_not(job, 0, 1, 0, me) == "the job is training, attempt 0, round 0"
    assert why_not(job, 0, 0, 7, me) == why_not(job, 0, 0, -1, me) == "the round is closed"
    assert why_not(replace(job, state="voting"), 0, 0, 0, me).startswith("the job is voting")
    assert why_not(replace(job, barred=(me,)), 0, 0, 0, me) == "this worker is barred from the job"
    sent = len(iris.sent)
    assert train_partition(iris.context(iris.alice), "bafkqaaa", 0, 0, 0) == "the node knows no such job"
    assert len(iris.sent) == sent


def test_another_s_partition_is_left(iris: Any) -> None:
    job = iris.open()
    iris.send(ClaimPartition(job.id, 0, 0, 0), iris.bob)
    assert train(iris, job).startswith("left: conflict")
    assert iris.now(job).round_list[0].partitions[0].lease.worker == iris.bob.address


def test_a_lease_that_is_lost_while_training_wastes_the_training_and_nothing_else(iris: Any) -> None:
    job = iris.open()

    def lost(*_: Any) -> Any:
        raise TransactionRefused("id", "conflict", "bob has it")

    iris.wait_transaction = lost
    assert "is not ours: bob has it" in train(iris, job)
    assert iris.now(job).round_list[0].partitions[0].update is None


def test_a_claim_that_never_gets_into_a_block_is_left(iris: Any) -> None:
    def never(*_: Any) -> Any:
        raise WaitTimeout("transaction id is pending", None)

    iris.wait_transaction = never
    assert train(iris, iris.open()).startswith("left: transaction id is pending")


def test_a_node_that_is_away_is_for_the_scheduler(iris: Any) -> None:
    job = iris.open()

    def goes_away(recipe: Any, store: Any, cache: Any) -> Any:
        iris.away = NodeUnavailable("away")
        return Session(recipe, store.open, cache)

    with pytest.raises(NodeUnavailable):
        train(iris, job, new_session=goes_away)


# What goes wrong is in the job


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (MemoryError(), "out_of_memory", "more memory than this worker may use"),
        (InvalidData("column species has one class"), "invalid_data", "one class"),
        (ValueError("n_neighbors\n\x00is too large"), "training_failed", "ValueError: n_neighbors  is too large"),
        (OSError(28, "No space left on device"), "training_failed", "No space left"),
        (RecursionError("too deep"), "training_failed", "too deep"),
    ],
)
def test_what_keeps_a_worker_from_it_is_reported_and_stands(
    iris: Any, error: Exception, code: str, said: str
) -> None:
    job = iris.open()
    assert train(iris, job, new_session=raising(error)).startswith("failed: ")
    reported = failure(iris, job)
    assert (reported.worker, reported.code) == (iris.alice.address, code)
    assert said in reported.message
    assert iris.now(job).round_list[0].partitions[0].lease is None, "another may try"
    sent = len(iris.sent)
    assert train(iris, job) == "this worker reported that it cannot"
    assert len(iris.sent) == sent
    assert train(iris, job, iris.bob) == "submitted"


def test_when_two_workers_cannot_the_job_says_why(iris: Any) -> None:
    job = iris.open()
    for key in (iris.alice, iris.bob):
        train(iris, job, key, new_session=raising(MemoryError()))
    failed = iris.now(job)
    assert failed.state == "failed"
    assert "out_of_memory" in failed.reason


def test_what_failed_keeps_no_memory(iris: Any) -> None:
    job = iris.open()
    context = iris.context(iris.alice, new_session=raising(MemoryError()))
    train_partition(context, job.id, 0, 0, 0)
    assert not context._sessions


def test_what_is_in_memory_for_other_jobs_stays(iris: Any) -> None:
    context, failed, other = iris.context(iris.alice), iris.open(), iris.open()
    kept, gone = context.session(other), context.session(failed)
    context.forget(failed)
    assert context.session(other) is kept
    assert context.session(failed) is not gone


def test_content_that_is_missing_may_be_there_later(iris: Any, lab_module: Any) -> None:
    forget()
    job = iris.open()
    here = iris.store
    iris.store = lab_module.open_store(str(iris.folder / "elsewhere"))
    assert train(iris, job).startswith("failed: ")
    reported = failure(iris, job)
    assert reported.code == "unavailable"
    assert reported.cids[0] in {iris.dataset("iris").data, iris.dataset("iris").manifest}
    assert str(iris.folder / "elsewhere") in reported.asked
    iris.store = here
    assert train(iris, job) == "submitted"


def test_a_flipped_byte_is_refused_by_its_cid(iris: Any) -> None:
    forget()
    job = iris.open()
    data = iris.dataset("iris").data
    raw = iris.store.read(data)
    (block,) = (path for path in (iris.folder / "store").rglob("*") if path.is_file() and path.read_bytes() == raw)
    block.chmod(0o644)
    block.write_bytes(raw[:100] + bytes([raw[100] ^ 1]) + raw[101:])
    assert train(iris, job).startswith("failed: ")
    reported = failure(iris, job)
    assert (reported.code, reported.cids) == ("corrupt_content", (data,))
    assert data in reported.message


def test_data_that_are_not_what_was_registered_are_refused(lab: Any) -> None:
    lab.register(manifest=b"{}")
    job = lab.open()
    train(lab, job)
    assert failure(lab, job).code == "invalid_data"


def test_a_target_that_cannot_be_learned_is_refused(iris: Any) -> None:
    job = iris.open()
    wrong = replace(iris.state.datasets["iris"], target="no such column")
    iris.dataset = lambda _: wrong
    train(iris, job)
    assert failure(iris, job).code == "invalid_data"
    assert "no such column" in failure(iris, job).message


def test_a_spec_that_is_none_is_refused(iris: Any) -> None:
    job = iris.open()
    spec = '{"class":"os.system","params":{}}'
    iris.job = lambda _: replace(iris.state.jobs[job.id], estimator=spec)
    train(iris, job)
    assert failure(iris, job).code == "invalid_spec"


def test_a_worker_in_another_environment_says_so_before_it_trains(iris: Any) -> None:
    job = iris.open()
    never = raising(AssertionError("it must not train"))
    train(iris, job, environment=lambda: "0" * 64, new_session=never)
    reported = failure(iris, job)
    assert reported.code == "wrong_environment"
    assert "0" * 64 in reported.message
    assert iris.environment in reported.message


def test_a_node_that_is_behind_is_asked_again_later(iris: Any) -> None:
    job = iris.open()
    iris.dataset = lambda _: None
    train(iris, job)
    assert failure(iris, job).code == "unavailable"


def test_a_report_that_the_node_refuses_ends_in_the_log(iris: Any, caplog: pytest.LogCaptureFixture) -> None:
    job = iris.open()
    send = iris.send

    def refuses(payload: Any, key: Any) -> str:
        if isinstance(payload, ReportFailure):
            raise NodeUnavailable("away")
        return str(send(payload, key))

    iris.send = refuses
    assert train(iris, job, new_session=raising(MemoryError())).startswith("failed: ")
    assert "failure not reported" in caplog.text


def test_sessions_are_kept_for_the_last_few_jobs(iris: Any) -> None:
    from workers.context import SESSIONS

    context = iris.context(iris.alice)
    jobs = [iris.open() for _ in range(SESSIONS + 1)]
    first = context.session(jobs[0])
    assert context.session(jobs[0]) is first
    for job in jobs[1:]:
        context.session(job)
    assert context.session(jobs[0]) is not first


def test_the_artifact_is_the_one_that_is_in_the_store(iris: Any) -> None:
    job = iris.open()
    train(iris, job)
    update = iris.now(job).round_list[0].partitions[0].update
    again = iris.session(job).train(0, 0, None)
    assert iris.store.read(Cid(update.artifact)) == again.artifact
