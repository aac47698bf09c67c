"""The services that tests are given are real, and the session's own."""

import pytest
import redis


@pytest.mark.kubo
def test_the_kubo_answers_and_has_no_peers(kubo):
    assert kubo.run("swarm", "peers") == b""
    assert kubo.run("cat", kubo.run("add", "-Q", stdin=b"content").decode().strip()) == b"content"


@pytest.mark.redis
def test_the_redis_answers_and_is_the_tests_own(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()
        assert client.info()["tcp_port"] == 0 or f":{client.info()['tcp_port']}/" in redis_url
