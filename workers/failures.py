"""What a worker tells the chain when it cannot do its part."""

from __future__ import annotations

from chain.client import NodeClient, NodeError
from chain.keys import Key
from chain.schema import Cid
from chain.transactions import ReportFailure
from ipfs.errors import ContentCorrupt, ContentError, ContentLooping, ContentTooLarge, InvalidCid
from learning.errors import LearningError
from runtime.logs import get_logger

log = get_logger("workers.failures")

#: What the chain takes of a message and of the name of who was asked.
MAX_MESSAGE = 1000
MAX_ASKED = 200

#: The code after which the same worker may try again (`chain.state.claims` knows it too); any other stands.
UNAVAILABLE = "unavailable"


class WorkerDied(Exception):  # noqa: N818 - what happened, in the job's own words
    """The process that trained ended in the middle of a task."""


#: Content that no other try makes whole; anything else about content may be there the next time.
_BROKEN = (ContentCorrupt, ContentLooping, ContentTooLarge, InvalidCid)


def failure_of(error: BaseException) -> tuple[str, str, tuple[str, ...], str]:
    """(code, message, CIDs, who was asked) for an error met while training or aggregating."""
    if isinstance(error, ContentError):
        code = "corrupt_content" if isinstance(error, _BROKEN) else UNAVAILABLE
        return code, str(error), ((error.cid,) if error.cid else ()), error.asked
    if isinstance(error, LearningError):
        return error.code, str(error), (), ""
    if isinstance(error, WorkerDied):
        return UNAVAILABLE, str(error), (), ""
    if isinstance(error, MemoryError):
        return "out_of_memory", "training needed more memory than this worker may use", (), ""
    return "training_failed", f"{type(error).__name__}: {error}", (), ""


def report(
    client: NodeClient,
    key: Key,
    *,
    job: str,
    attempt: int,
    round_: int,
    partition: int | None,
    error: BaseException,
) -> None:
    """Send `report_failure`; a node that refuses it or is away is logged: the job's deadline speaks then."""
    code, message, cids, asked = failure_of(error)
    log.warning("cannot do it", job=job, round=round_, partition=partition, code=code, message=message)
    payload = ReportFailure(
        job=Cid(job),
        attempt=attempt,
        round=round_,
        partition=partition,
        code=code,
        message=_clip(message, MAX_MESSAGE),
        cids=tuple(Cid(cid) for cid in cids),
        asked=_clip(asked, MAX_ASKED),
    )
    try:
        client.send(payload, key)
    except NodeError as refused:
        log.warning("failure not reported", job=job, partition=partition, error=str(refused))


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
