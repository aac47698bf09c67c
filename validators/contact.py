"""What a validator's log says of its node and of its own place, once for each state and not with every try."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from chain.client import NodeError, NodeUnavailable
from chain.keys import Key
from chain.state import ValidatorSet
from runtime.logs import get_logger

log = get_logger("validators.contact")

#: Seconds after which a node that was away is asked again, doubled with each time in a row, and the most.
RETRY = 0.5
LONGEST_RETRY = 8.0
#: Seconds after which the log says again that there is still no node, doubled each time, and the most.
REMIND = 30.0
LONGEST_REMIND = 600.0


class Contact:
    """Whether the node does what a validator's threads ask of it; shared by them.

    The first failure is a warning, and so is one of another kind (away, or refusing) that has not been met for a while;
    others in a row are reminders, further and further apart; when nothing that any thread asks fails any more, the log
    says that too.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        #: Failures in a row of each activity that fails now.
        self._failing: dict[str, int] = {}
        #: When each kind of failure was met last, since something fails.
        self._met: dict[str, float] = {}
        self._since = self._remind_at = self._remind_after = 0.0

    def lost(self, activity: str, error: NodeError) -> float:
        """`activity` could not be done; seconds after which to try again."""
        with self._lock:
            now, kind = self._clock(), _said(error)
            if not self._failing:
                self._since = now
            new = now - self._met.get(kind, -math.inf) >= REMIND
            self._met[kind] = now
            if new:
                self._remind_after, self._remind_at = REMIND, now + REMIND
                log.warning(kind, error=str(error), activity=activity)
            elif now >= self._remind_at:
                self._remind_after = min(2 * self._remind_after, LONGEST_REMIND)
                self._remind_at = now + self._remind_after
                log.warning(f"still: {kind}", error=str(error), seconds=round(now - self._since))
            times = self._failing[activity] = self._failing.get(activity, 0) + 1
        return min(RETRY * 2.0 ** min(times - 1, 16), LONGEST_RETRY)

    def works(self, activity: str) -> None:
        """`activity` was done."""
        with self._lock:
            if self._failing.pop(activity, None) is not None and not self._failing:
                self._met.clear()
                log.info("the node answers again", away=round(self._clock() - self._since, 1))


def _said(error: NodeError) -> str:
    if isinstance(error, NodeUnavailable):
        return "no node: votes wait until it answers, and are then cast without a restart"
    return "the node refuses what a validator asks; it is asked again"


class Seat:
    """Whether a key has a seat in the set in force: said at the start and when it changes. For one thread."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._seated: bool | None = None

    def notice(self, validators: ValidatorSet) -> None:
        """Say whether the key's votes count under this set, unless that is as it was."""
        weight = validators.weight(self._key.address)
        if (weight > 0) is self._seated:
            return
        left, self._seated = self._seated, weight > 0
        if weight:
            log.info("votes count: a member of the set in force", set=validators.serial, weight=weight)
            return
        log.warning(
            f"this key is {'no longer' if left else 'not'} a member of set {validators.serial}: its votes do not count",
            address=self._key.address,
            members=len(validators.members),
            advice="they will once it is admitted, without a restart (assay validators list shows the set); a member "
            "that finds this has a wrong --wallet, --data or --node",
        )
