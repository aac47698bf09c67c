"""What a coordinator is told when it starts."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

#: Bytes of an upload's fields and of the form's own lines, on top of the file.
FORM_BYTES = 1 << 20
#: Names that mean this machine whatever the resolver says (RFC 6761, 6.3).
LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


class RefusedAddress(ValueError):  # noqa: N818 - says what happened
    """The coordinator would answer others than this machine, and has no way yet to tell who they are."""


@dataclass(frozen=True)
class Settings:
    """`data` is the fleet's folder; the coordinator's own files lie in `data/coordinator`, its hosted
    wallets in `wallets` (`data/wallets` by default)."""

    data: Path
    node: str = "http://127.0.0.1:7001"
    """URL of the node."""
    store: str = ""
    """Where content is: a Kubo address or a folder; empty: `data/store`."""
    broker: str = ""
    """URL of the broker as Celery writes it (`redis://` or `redis+socket://`)."""
    key: str = "coordinator"
    """Name of the hosted wallet that signs."""
    wallets: Path | None = None
    host: str = "127.0.0.1"
    port: int = 5000
    max_upload: int = 1 << 30
    """Bytes of an uploaded dataset."""
    max_body: int = 8 << 20
    """Bytes of any other request."""
    max_rows: int = 10_000
    """Rows of one prediction."""

    def __post_init__(self) -> None:
        if not is_loopback(self.host):
            raise RefusedAddress(
                f"the coordinator signs for whoever reaches it, so it answers on loopback only; {self.host!r} is no "
                "loopback address. Use --host 127.0.0.1 and reach it from elsewhere through a tunnel (ssh -L)"
            )

    @property
    def folder(self) -> Path:
        """The coordinator's own."""
        return self.data / "coordinator"

    @property
    def longest_body(self) -> int:
        """Bytes of the longest request body that any route reads."""
        return max(self.max_upload + FORM_BYTES, self.max_body)

    @property
    def store_address(self) -> str:
        return self.store or str(self.data / "store")

    @property
    def wallet_folder(self) -> Path:
        return self.wallets or self.data / "wallets"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own: 127.0.0.0/8, ::1 or localhost. Nothing is resolved."""
    name = host.strip("[]").rstrip(".").lower()
    if name in LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
