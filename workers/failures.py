"""What a worker tells the chain when it cannot do its part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from chain.client import NodeClient, NodeError
from chain.keys import Key
from chain.schema import Cid
from chain.transactions import ReportFailure
from ipfs.cid import Cid as ContentCid
from ipfs.cid import parse_cid
from ipfs.errors import ContentCorrupt, ContentError, ContentLooping, ContentTooLarge, InvalidCid
from learning.errors import LearningError
from runtime.logs import get_logger

T = TypeVar("T")

log = get_logger("workers.failures")

#: What the chain takes of a message and of the name of who was asked, in characters.
MAX_MESSAGE = 1000
MAX_ASKED = 200

#: The code after which the same worker may try again (`chain.state.claims` knows it too); any other stands.
UNAVAILABLE = "unavailable"

#: Content that no other try makes whole; anything else about content may be there the next time.
_BROKEN = (ContentCorrupt, ContentLooping, ContentTooLarge, InvalidCid)


class NotThere(LookupError):  # noqa: N818 - a state of the node's, not a mistake
    """The node does not show something that what it shows refers to, as happens while it catches up."""


@dataclass(frozen=True)
class Failed:
    """Why something could not be done: the fields of `report_failure`. Any code but `UNAVAILABLE` stands: the same
    worker does not try again."""

    code: str
    message: str
    cids: tuple[str, ...] = ()
    asked: str = ""


def attempt(work: Callable[[], T]) -> T | Failed:
    """What `work` returns, or why it could not; what a node says (`NodeError`) passes.

    When this returns, nothing holds the frames any more in which it failed: after a lack of memory that is the
    memory to report it with.
    """
    try:
        return work()
    except NodeError:
        raise
    except Exception as error:
        failed = failure_of(error)
        if failed.code == "training_failed":
            log.exception("training failed")
        return failed


def failure_of(error: BaseException) -> Failed:
    """What an error met while training or aggregating means for the job."""
    if isinstance(error, ContentError):
        code = "corrupt_content" if isinstance(error, _BROKEN) else UNAVAILABLE
        return Failed(code, str(error), _cids(error.cid), error.asked)
    if isinstance(error, LearningError):
        return Failed(error.code, str(error))
    if isinstance(error, NotThere):
        return Failed(UNAVAILABLE, str(error))
    if isinstance(error, MemoryError):
        return Failed("out_of_memory", "training needed more memory than this worker may use")
    return Failed("training_failed", f"{type(error).__name__}: {error}")


def report(
    client: NodeClient,
    key: Key,
    *,
    job: str,
    attempt: int,
    round_: int,
    partition: int | None,
    failed: Failed,
) -> None:
    """Send `report_failure`; a node that refuses it or is away is logged: the job's deadline speaks then."""
    log.warning(
        "cannot do it", job=job, round=round_, partition=partition, code=failed.code, message=plain(failed.message)
    )
    payload = ReportFailure(
        job=Cid(job),
        attempt=attempt,
        round=round_,
        partition=partition,
        code=failed.code,
        message=plain(failed.message),
        cids=tuple(Cid(cid) for cid in failed.cids),
        asked=plain(failed.asked, MAX_ASKED),
    )
    try:
        client.send(payload, key)
    except NodeError as refused:
        log.warning("failure not reported", job=job, partition=partition, error=str(refused))


def plain(text: str, limit: int = MAX_MESSAGE) -> str:
    """`text` as one line of at most `limit` characters that any encoder takes: it may quote what others wrote."""
    line = "".join(character if character.isprintable() else " " for character in text).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _cids(text: str) -> tuple[str, ...]:
    """The CID that an error is about, as the chain writes it; nothing where it is about none."""
    try:
        found = parse_cid(text)
    except InvalidCid:
        return ()
    return (str(ContentCid(1, found.codec, found.digest)),)
