"""A content store on a running Kubo, through its RPC API. The only module that knows ipfshttpclient.

Kubo keeps, fetches and pins; it is not trusted. `add` computes the CID itself while it uploads and
compares, and reads fetch single blocks and check each against its CID, so that neither a damaged block
(Kubo does not hash what it reads from its disk) nor a transfer that breaks off (the error is an HTTP
trailer, which clients do not see) can pass as content. RPC reference:
https://docs.ipfs.tech/reference/kubo/rpc/
"""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3

from ipfs import dag
from ipfs.builder import CHUNK, LINKS, Hasher
from ipfs.cid import Cid, parse_cid
from ipfs.content import as_stream, block_cid
from ipfs.errors import ContentCorrupt, ContentError, ContentMissing, StoreUnavailable
from ipfs.reader import Limits, Source, open_file, read_range
from ipfs.store import Stat
from runtime import strict_json

# Read by ipfshttpclient when imported: without it, the client patches requests in a way (for Unix
# sockets, which we do not use) that urllib3 warns about.
os.environ.setdefault("PY_IPFS_HTTP_CLIENT_PATCH_REQUESTS", "no")
import ipfshttpclient
from ipfshttpclient import encoding
from ipfshttpclient import exceptions as rpc

_T = TypeVar("_T")
_DELIVER = "deliver the block"  # only here a late answer means that nobody has it
OLDEST = (0, 35)  # has all options that `add` sends: https://github.com/ipfs/kubo/pull/10774
# A pin that somebody else is asking for again is gone for some milliseconds, also for who lists it meanwhile.
_CONFIRMATIONS = 20
_CONFIRMATION_PAUSE = 0.05  # seconds
_AHEAD = 6  # blocks under way at once while reading leaves: hides the network's latency, holds 12 MiB at most


class _Decoder(json.JSONDecoder):
    """Counts the depth first: see `runtime.strict_json`, where the recursion limit cannot be relied upon."""

    def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
        if strict_json.depth_of(s) > strict_json.MAX_DEPTH:
            raise ValueError(f"it is nested more than {strict_json.MAX_DEPTH} deep")
        return super().raw_decode(s, idx)


class _Json(encoding.Json):  # type: ignore[misc]  # the client has no types
    def __init__(self) -> None:
        super().__init__()
        self._decoder2 = _Decoder()


vars(encoding)["__encodings"]["json"] = _Json  # where the client finds who decodes; there is no other door


class KuboStore:
    """The store behind Kubo's RPC address `where` (a multiaddr or an http URL); `timeout` in seconds for each
    request. Connections are made when first used, and again after a fork. See `ipfs.store.ContentStore`."""

    def __init__(self, where: str, timeout: float = 30.0, limits: Limits | None = None) -> None:
        self.name = f"Kubo {where}"
        self.timeout = timeout
        self.limits = limits or Limits()
        self._where = where
        self._source = Source(self.name, self._fetch, self._fetch_all, self.limits)
        self._lock = threading.Lock()
        # The process that connected, its client and its threads that read ahead.
        self._connected: tuple[int, Any, ThreadPoolExecutor] | None = None

    # Adding

    def add(self, content: bytes | Path | BinaryIO) -> str:
        with as_stream(content) as stream:
            upload = _Upload(stream)
            with self._asking("", "add the content", upload):
                answer = self._client.add(
                    upload,
                    cid_version=1,
                    raw_leaves=True,
                    chunker=f"size-{CHUNK}",
                    # A new dict each time: the client writes to it.
                    opts={"hash": "sha2-256", "max-file-links": str(LINKS)},
                )
                said = answer["Hash"]
        cid = upload.cid()
        if said != cid:
            what = f"Kubo says that the content is {_shown(str(said))}"
            advice = "Check that Kubo is whole and its version current."
            raise ContentCorrupt(cid, self.name, what, advice)
        self._confirm_pin(cid)
        return cid

    def put_block(self, cid_codec: str, data: bytes) -> str:
        cid = str(block_cid(cid_codec, data, self.limits, self.name))
        with self._asking(cid, "store the block"):
            answer = self._client.block.put(
                io.BytesIO(data),
                opts={"cid-codec": cid_codec, "mhtype": "sha2-256", "allow-big-block": "true"},
            )
            said = answer["Key"]
        if said != cid:
            raise ContentCorrupt(cid, self.name, f"Kubo says that the block is {_shown(str(said))}")
        return cid

    # Reading

    def open(self, cid: str) -> BinaryIO:
        return open_file(self._source, parse_cid(cid))

    def read(self, cid: str, offset: int = 0, length: int | None = None) -> bytes:
        return read_range(self._source, parse_cid(cid), offset, length)

    def get_block(self, cid: str) -> bytes:
        return self._source.block(parse_cid(cid))

    def has(self, cid: str) -> bool:
        """Whether all blocks are in this Kubo's own store: what links to others is read from there and
        checked,
        raw leaves are looked up."""
        here = Source(self.name, self._fetch_here, limits=self.limits)
        try:
            found = dag.walk(here, parse_cid(cid), leaves=False)
            for _ in self._ahead(self._look_up, (leaf for leaf, block in found if block is None)):
                pass
        except ContentMissing:
            return False
        return True

    def stat(self, cid: str) -> Stat:
        return dag.stat(self._source, parse_cid(cid))

    # Pins

    def pin(self, cid: str) -> None:
        """Every block is fetched and checked before Kubo is told to pin. Raises ContentMissing naming
        one that does
        not come within the time-out."""
        root = parse_cid(cid)
        for _ in dag.walk(self._source, root, leaves=True):
            pass
        if self._pinned(str(root)):
            return
        with self._asking(cid, "pin it"):
            # With progress Kubo answers while it walks, so that a large DAG does not run into the time-out.
            # `pin.add` of the client expects a single answer: ask below it.
            answer = self._client._client.request(
                "/pin/add",
                (str(root),),
                decoder="json",
                stream=True,
                opts={"recursive": "true", "progress": "true"},
            )
            for _ in answer:
                pass
        self._confirm_pin(str(root))

    def unpin(self, cid: str) -> None:
        root = str(parse_cid(cid))
        try:
            with self._asking(cid, "unpin it"):
                self._client.pin.rm(root)
        except ContentError as error:
            if "not pinned" not in error.detail:
                raise

    def pins(self) -> Iterator[str]:
        with self._asking("", "list the pins"):
            return iter([str(cid) for cid in self._client.pin.ls(type="recursive")["Keys"]])

    def _confirm_pin(self, cid: str) -> None:
        """`add` answers before it pins, and a pin asked for may be lost: see it before anything relies
        on it."""
        for _ in range(_CONFIRMATIONS):
            if self._pinned(cid):
                return
            time.sleep(_CONFIRMATION_PAUSE)
        what = f"Kubo was to pin it, and says after {_CONFIRMATIONS * _CONFIRMATION_PAUSE:g} s that it is not pinned"
        raise ContentError(cid, self.name, what, "See Kubo's own log.")

    def _pinned(self, cid: str) -> bool:
        try:
            with self._asking(cid, "look for the pin"):
                self._client.pin.ls(cid, type="recursive")
        except ContentError as error:
            if "not pinned" not in error.detail:
                raise
            return False
        return True

    # Requests

    def _fetch(self, cid: Cid) -> bytes:
        return self._block(cid, offline=False)

    def _fetch_here(self, cid: Cid) -> bytes:
        return self._block(cid, offline=True)

    def _block(self, cid: Cid, *, offline: bool) -> bytes:
        data = b""
        # A transfer may break off unseen: what does not hash to the CID is asked for once more.
        for _ in range(2):
            with self._asking(str(cid), _DELIVER):
                answer = self._client.block.get(str(cid), stream=True, offline=offline)
                with answer:
                    parts, size = [], 0
                    for part in answer:
                        parts.append(part)
                        size += len(part)
                        if size > self.limits.block:  # enough to see that it is too large
                            break
                    data = b"".join(parts)
            if cid.matches(data) or size > self.limits.block:
                break
        return data

    def _look_up(self, cid: Cid) -> None:
        with self._asking(str(cid), "look up the block"):
            self._client.block.stat(str(cid), offline=True)

    def _fetch_all(self, cids: Sequence[Cid]) -> Iterator[bytes]:
        return self._ahead(self._fetch, cids)

    def _ahead(self, ask: Callable[[Cid], _T], cids: Iterable[Cid]) -> Iterator[_T]:
        """The answers in order, the next few already under way."""
        waiting = iter(cids)
        ahead: deque[Future[_T]] = deque()
        with self._asking("", "read ahead"):
            pool = self._connection()[1]
        try:
            ahead.extend(pool.submit(ask, cid) for cid in islice(waiting, _AHEAD))
            while ahead:
                answer = ahead.popleft().result()
                ahead.extend(pool.submit(ask, cid) for cid in islice(waiting, 1))
                yield answer
        finally:
            for future in ahead:
                future.cancel()

    @property
    def _client(self) -> Any:
        return self._connection()[0]

    def _connection(self) -> tuple[Any, ThreadPoolExecutor]:
        with self._lock:
            if self._connected is None or self._connected[0] != os.getpid():
                # What a parent process connected is its own: neither its sockets nor its threads survive
                # a fork.
                client = ipfshttpclient.Client(_multiaddr(self._where), timeout=self.timeout, session=True)
                # Kubo's RPC is a local service: neither HTTP_PROXY nor ~/.netrc is meant for it.
                client._client._session.trust_env = False
                try:
                    self._check_version(client)
                except BaseException:
                    client.close()
                    raise
                pool = ThreadPoolExecutor(_AHEAD, thread_name_prefix="kubo-read-ahead")
                self._connected = (os.getpid(), client, pool)
            return self._connected[1], self._connected[2]

    def _check_version(self, client: Any) -> None:
        # `Client` rather than `connect`, whose own check knows no Kubo since 2021.
        version = str(client.version()["Version"])
        numbers = tuple(int(part) for part in version.partition("-")[0].split(".")[:2] if part.isdigit())
        if numbers < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            what = f"this is Kubo {_shown(version)}, Assay needs {oldest} or later"
            raise StoreUnavailable("", self.name, what, "Update Kubo.")

    def close(self) -> None:
        with self._lock:
            connected, self._connected = self._connected, None
        if connected is not None and connected[0] == os.getpid():
            connected[2].shutdown(cancel_futures=True)
            connected[1].close()

    @contextmanager
    def _asking(self, cid: str, doing: str, upload: _Upload | None = None) -> Iterator[None]:
        """Turn what goes wrong while Kubo is asked into our errors, but for an upload's own."""
        try:
            yield
        except rpc.AddressError as error:
            raise StoreUnavailable(cid, self.name, f"this is no address of Kubo: {error}") from error
        except (rpc.CommunicationError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise (upload and upload.error) or self._translated(cid, doing, error) from error
        except ContentError:
            raise
        except (rpc.DecodingError, *_NONSENSE) as error:
            if upload is not None and upload.error is not None:
                raise upload.error from None
            what = f"the answer is not Kubo's: {type(error).__name__}: {_shown(str(error))}"
            raise StoreUnavailable(cid, self.name, what) from error

    def _translated(self, cid: str, doing: str, error: Exception) -> ContentError:
        if isinstance(error, rpc.ErrorResponse):
            said = _shown(str(error.args[0]))
            if any(phrase in said for phrase in _CORRUPT):
                return ContentCorrupt(cid, self.name, f"Kubo cannot {doing}: {said}")
            if any(phrase in said for phrase in _MISSING):
                return ContentMissing(cid, self.name, f"Kubo cannot {doing}: {said}")
            return ContentError(cid, self.name, f"Kubo cannot {doing}: {said}", "See Kubo's own log.")
        original = getattr(error, "original", error)
        late = isinstance(error, rpc.TimeoutError) or "timed out" in str(original)
        if doing == _DELIVER and late and not isinstance(original, requests.ConnectTimeout):
            what = f"Kubo did not {doing} within {self.timeout:g} s"
            return ContentMissing(cid, self.name, what)
        return StoreUnavailable(cid, self.name, f"Kubo cannot be asked to {doing}: {original}")


# What Kubo says of a block that does not hash to its CID (with Datastore.HashOnRead), and of one it does
# not have.
_CORRUPT = ("different hash", "hash mismatch", "did not match", "hash of block")
_MISSING = ("not found", "could not find", "deadline exceeded", "offline")


# What ipfshttpclient raises for an answer in another form than it expects: it looks into answers unseen.
_NONSENSE = (LookupError, TypeError, ValueError, AttributeError, AssertionError, RecursionError)


def _shown(said: str) -> str:
    """What Kubo said, as any encoder takes it: JSON may hold halves of characters."""
    return said[:1000].encode("utf-8", "backslashreplace").decode()


def _multiaddr(where: str) -> str:
    """An http URL as the multiaddr that the client wants; a multiaddr as it is."""
    if where.startswith("/"):
        return where
    url = urlsplit(where)
    host = url.hostname or ""
    try:
        kind = f"ip{ip_address(host).version}"
    except ValueError:
        kind = "dns"
    port = url.port or (443 if url.scheme == "https" else 80)
    return f"/{kind}/{host}/tcp/{port}/{url.scheme}"


class _Upload:
    """A stream on its way to Kubo, hashed as it passes. `error` is what reading it raised, if anything."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hasher = Hasher()
        self.error: Exception | None = None

    def read(self, _size: int = -1) -> bytes:
        """The next bytes, in larger parts than the client asks for, which it takes as well."""
        try:
            data = self._stream.read(CHUNK)
        except Exception as error:
            self.error = error
            raise
        self._hasher.update(data)
        return data

    def cid(self) -> str:
        """The CID of all that was read."""
        return str(self._hasher.finish())
