"""Which network the coordinator's node is of: said in the log, and held against the one that its folder has served."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from chain.client import NodeClient, NodeError
from runtime.files import atomic_write
from runtime.logs import get_logger

log = get_logger(__name__)

#: Seconds after which a node that does not answer is asked again.
RETRY_SECONDS = 1.0


def tell(node: NodeClient, path: Path, stop: threading.Event) -> None:
    """Say once which network `node` serves, as soon as it answers, and warn where that is not the one in `path`.

    `path` is written where it is missing or holds no id of a genesis block.
    """
    away = False
    while not stop.is_set():
        try:
            chain = node.chain()
        except NodeError as error:
            if not away:
                log.warning("no node: waits until it answers", error=str(error))
            away = True
            stop.wait(RETRY_SECONDS)
            continue
        genesis = str(chain.get("genesis"))
        log.info("follows the chain", node=node.url, network=chain.get("network"), genesis=genesis)
        served = _read(path)
        if served is None:
            atomic_write(path, f"{genesis}\n".encode())
        elif served != genesis:
            log.warning(
                "the node is of another network than this folder has served",
                served=served,
                found=genesis,
                advice="name a node of that network with --node, or another folder with --data: jobs, models and "
                f"Idempotency-Keys of the one are unknown on the other. Where it is meant, delete {path}",
            )
        return


def _read(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return text if re.fullmatch(r"[0-9a-f]{64}", text) else None
