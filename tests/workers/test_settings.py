"""What a worker is told, and the bound on its memory."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chain.errors import WalletError
from chain.wallets import Wallets
from workers.settings import WorkerSettings


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    Wallets(tmp_path / "wallets").create("worker-1")
    return WorkerSettings(
        "worker-1", "http://127.0.0.1:1", str(tmp_path / "store"), "redis+socket:///tmp/b.sock",
        tmp_path / "wallets", "worker-1", tmp_path / "cache",
    )  # fmt: skip


def test_the_broker_is_known_to_celery_and_to_redis_by_their_own_urls(settings: WorkerSettings) -> None:
    assert settings.redis == "unix:///tmp/b.sock"
    assert replace(settings, broker="redis://h:1/0").redis == "redis://h:1/0"


def test_a_context_has_a_key_a_store_and_a_cache_of_its_own(settings: WorkerSettings) -> None:
    context = settings.open_context()
    assert context.key.address == Wallets(settings.wallets).address("worker-1")
    assert settings.cache.is_dir()
    assert context.store.name.endswith(settings.store)


def test_a_wallet_that_is_missing_is_named(settings: WorkerSettings) -> None:
    with pytest.raises(WalletError, match="nobody"):
        replace(settings, wallet="nobody").load_key()


@pytest.mark.skipif(sys.platform != "linux", reason="macOS takes RLIMIT_DATA and does not hold it")
def test_beyond_the_bound_memory_is_refused_and_a_lower_bound_stays() -> None:
    code = """
import resource
from workers.settings import bound_memory
hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
bound_memory(200 * 2**20)
bound_memory(400 * 2**20)
assert resource.getrlimit(resource.RLIMIT_DATA) == (200 * 2**20, hard)
small = bytearray(10 * 2**20)
try:
    bytearray(300 * 2**20)
except MemoryError:
    print("refused")
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert out.stdout == "refused\n"
