"""What the routes share."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import current_app

from chain.client import NodeClient
from coordinator.follower import Follower
from coordinator.ledger import Ledger
from coordinator.settings import Settings
from ipfs.store import ContentStore

if TYPE_CHECKING:
    from coordinator.readiness import Readiness
    from coordinator.serving import Predictors

_KEY = "assay.coordinator"


@dataclass(frozen=True)
class Services:
    """One coordinator's parts. `opening` is held while an Idempotency-Key is looked up and used; `stop` ends
    long polls and streams."""

    settings: Settings
    node: NodeClient
    store: ContentStore
    ledger: Ledger
    follower: Follower
    predictors: Predictors
    readiness: Readiness
    opening: threading.Lock
    stop: threading.Event


def attach(extensions: dict[str, object], found: Services) -> None:
    """Hand the services to an application."""
    extensions[_KEY] = found


def services() -> Services:
    """Those of the application that answers the current request."""
    return cast(Services, current_app.extensions[_KEY])
