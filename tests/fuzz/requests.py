"""Hostile HTTP requests by the routes that an application declares, and what every answer must be."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import http.client
import json
import os
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from chain import errors
from tests.fuzz import hostile

ROOT = Path(__file__).parents[2]
REQUESTS = int(os.environ.get("ASSAY_FUZZ_REQUESTS", "12"))
SEED = int(os.environ.get("ASSAY_FUZZ_SEED", "1"))
#: Bytes that the server's process may grow by in the last nine tenths of a run.
GROWTH = 24 << 20
SEGMENTS = (
    b"0", b"1", b"-1", b"00", b"999999999999999", b"9" * 400, b"x", b"iris", b"0x" + b"0" * 40, b"0x" + b"F" * 40,
    b"f" * 64, b"F" * 64, b"..", b".", b"%", b"a/b", b"\x00", b"\n", b"\xff\xfe", b"\xed\xa0\x80", "☃".encode(), b" ",
    b"bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua", b"a" * 5000, b"'\"<script>", b"${x}", b"1.5", b"@1",
)  # fmt: skip
VALUES = (
    "", "0", "1", "-1", "500", "501", "1e3", "0.01", "nan", "inf", "-inf", "1e999", "9" * 30, "٣", "x", "true", "open",
    "all", "included", "final", "\x00", "☃", "a" * 3000, "' or 1=1", "0x10", "+1", " 1",
)  # fmt: skip
NAMES = ("limit", "cursor", "wait", "until", "after", "tail", "state", "order", "at", "odd", "", "limit[]")
TYPES = (
    "application/json", "application/vnd.ipld.dag-cbor", "application/vnd.ipld.dag-json", "text/plain", "", "*/*", "x",
    "application/json; charset=utf-16", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
)  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """A request, as it can be sent again."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __str__(self) -> str:
        parts = [f"curl -X {self.method}", *(f"-H '{name}: {value}'" for name, value in self.headers.items())]
        if self.body is not None:
            parts.append(f"--data-binary @<(echo {self.body[:3000].hex()} | xxd -r -p)")
        return " ".join([*parts, f"'$URL{self.path}'"])


def random_of(part: str, number: int) -> random.Random:
    """The randomness of one request, whatever was sent before it."""
    return random.Random(f"{SEED} {part} {number}")


def known_codes() -> set[str]:
    """Every code that a problem document of the node may have."""

    def below(kind: type[errors.ChainError]) -> set[str]:
        return {kind.code}.union(*(below(each) for each in kind.__subclasses__()))

    codes = below(errors.ChainError)
    for path in (ROOT / "chain" / "node").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        codes |= set(re.findall(r'Refused\(\s*\d+,\s*"(\w+)"', text))
        codes |= set(re.findall(r'PeerRefused\(\s*"(\w+)"', text))
    return codes | {phrase.phrase.lower().replace(" ", "_").replace("-", "_") for phrase in http.HTTPStatus}


def path_of(rng: random.Random, rule: str, segments: Sequence[bytes]) -> str:
    """The rule's path with something in the place of each parameter, and sometimes a query."""
    path = re.sub(r"<[^>]+>", lambda _: quote(rng.choice(segments), safe=""), rule)
    if rng.random() < 0.03:
        path = path.rstrip("/") + rng.choice(("/", "//", "/..", "/%2e%2e/", ";x=1", "%00", "?"))
    if rng.random() < 0.6:
        pairs = [(rng.choice(NAMES), rng.choice(VALUES)) for _ in range(1 + int(rng.random() * 3))]
        path += "?" + "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    return path


def headers_of(rng: random.Random) -> dict[str, str]:
    headers: dict[str, str] = {}
    if rng.random() < 0.5:
        headers["Accept"] = rng.choice((*TYPES, "application/json;q=0", "a" * 2000, ",,,", "text/html;q=nan"))
    for name, values in (
        ("Last-Event-ID", VALUES), ("Range", ("bytes=0-1", "bytes=-9")), ("If-None-Match", ("*", '"x"')),
        ("Authorization", ("Bearer x", "Basic !!", "Bearer " + "a" * 64)), ("Accept-Encoding", ("gzip", "br;q=1")),
        ("Assay-Peer", ("", "0" * 32, "x" * 5000)), ("Host", ("", "evil", "[::1]")), ("Cookie", ("a=b; c",)),
        ("Idempotency-Key", ("a", "a" * 300)), ("X-Forwarded-For", ("1.2.3.4",)), ("Content-Encoding", ("gzip",)),
    ):  # fmt: skip
        if rng.random() < 0.06:
            headers[name] = rng.choice(values).encode("ascii", "ignore").decode().replace("\x00", "").strip()
    return headers


def odd_body(rng: random.Random) -> bytes:
    draw = rng.random()
    if draw < 0.4:
        return rng.choice(hostile.CBOR)
    return rng.choice(hostile.JSON) if draw < 0.8 else rng.randbytes(int(rng.random() ** 2 * 300))


class Wrong(AssertionError):  # noqa: N818 - what an answer is
    """An answer that none should be; its text names the request."""


@dataclass
class Target:
    """A server under attack, and a connection to it."""

    host: str
    port: int
    codes: set[str] | None
    """Codes that problems may have; None where their `type` names them."""
    seen: Counter[str] = field(default_factory=Counter)
    """Answers by their status, and their code where it is a 503."""
    _connection: http.client.HTTPConnection | None = None

    def send(self, sent: Sent, source: str = "") -> tuple[int, bytes, Mapping[str, str]]:
        """The answer's status, body and headers. Raises Wrong for one that none should be."""
        for again in (False, True):
            if self._connection is None:
                where = (source, 0) if source else None
                self._connection = http.client.HTTPConnection(self.host, self.port, timeout=30, source_address=where)
            try:
                self._connection.request(sent.method, sent.path, sent.body, dict(sent.headers))
                response = self._connection.getresponse()
                stream = response.headers.get("Content-Type", "").startswith("text/event-stream")
                body = b"" if stream else response.read()
                break
            except (http.client.HTTPException, OSError) as error:
                self.close()
                if again:
                    raise Wrong(f"no answer ({type(error).__name__}: {error}) to {sent}") from error
        if stream or response.will_close or source:
            self.close()
        said = json.loads(body).get("code", "") if response.status == 503 and body else ""
        self.seen[f"{response.status} {said}".strip()] += 1
        if response.status == 503 and not response.headers.get("Retry-After", "").isdigit():
            raise Wrong(f"status 503 that does not say when to come again: {body[:500]!r}\n  again: {sent}")
        self._judge(sent, response.status, body, response.headers.get("Content-Type", ""))
        return response.status, body, dict(response.headers)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def statuses(self) -> str:
        """What was answered since this was last asked for."""
        said = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.seen.items()))
        self.seen.clear()
        return said

    def _judge(self, sent: Sent, status: int, body: bytes, kind: str) -> None:
        if status < 400:
            return
        if status >= 500 and status != 503:
            raise Wrong(f"status {status}: {body[:500]!r}\n  again: {sent}")
        if b"Traceback" in body:
            raise Wrong(f"a traceback\n  again: {sent}")
        if sent.method == "HEAD":
            return
        if not kind.startswith("application/problem+json"):
            raise Wrong(f"status {status} with {kind!r} and no problem document: {body[:300]!r}\n  again: {sent}")
        document: dict[str, Any] = json.loads(body)
        if document.get("status") != status or not document.get("title"):
            raise Wrong(f"a problem that does not say what it is: {body[:300]!r}\n  again: {sent}")
        if self.codes is not None and document.get("code") not in self.codes:
            raise Wrong(f"the unknown code {document.get('code')!r}: {body[:300]!r}\n  again: {sent}")


@dataclass(frozen=True)
class Usage:
    """What this process, which serves as well, holds."""

    memory: int
    threads: int
    files: Counter[str]
    """Open files by what they are: a name, or `socket`."""


def usage() -> Usage:
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return Usage(pages * os.sysconf("SC_PAGE_SIZE"), threading.active_count(), Counter(_open_files()))


def _open_files() -> Iterator[str]:
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile
            yield os.readlink(f"/proc/self/fd/{number}").partition(":")[0]


def check_growth(before: Usage, after: Usage, *, memory: bool = True, of_a_thread: int = 0) -> None:
    """That nothing was kept but what each thread has from its first answer on: a connection to the database, and
    `of_a_thread` sockets. `memory`: the run was long enough to tell what grows from what is made once."""
    assert not memory or after.memory - before.memory < GROWTH, (before, after)
    assert after.threads <= before.threads + 8, (before, after)
    kept = {name: after.threads + 2 for name in after.files if ".sqlite" in name}
    kept["socket"] = of_a_thread * after.threads
    grown = Counter({name: count - max(before.files[name], kept.get(name, 0)) for name, count in after.files.items()})
    assert (+grown).total() <= 40, (grown, before, after)  # connections that time out in a while
