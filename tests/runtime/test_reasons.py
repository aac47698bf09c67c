"""Why a connection failed, in a few words."""

from __future__ import annotations

import socket
import threading

import pytest
import requests

from runtime.reasons import reason


def failure(url: str, timeout: float = 10) -> str:
    with pytest.raises(requests.RequestException) as caught:
        requests.get(url, timeout=timeout)
    return reason(caught.value)


def test_the_system_s_words_without_the_library_s(port: int) -> None:
    assert failure(f"http://127.0.0.1:{port}/chain") == "connection refused"
    assert reason(OSError("only said")) == "only said"
    assert reason(TimeoutError()) == "TimeoutError"


@pytest.mark.parametrize("closes", [True, False])
def test_a_server_that_hangs_up_or_never_answers(closes: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def serve() -> None:
            taken.append(server.accept()[0])
            if closes:
                taken[0].recv(65536)
                taken[0].close()

        thread = threading.Thread(target=serve)
        thread.start()
        said = failure(f"http://127.0.0.1:{server.getsockname()[1]}/chain", 10 if closes else 0.2)
        thread.join(5)
        taken[0].close()
    assert "HTTPConnectionPool" not in said
    assert said == ("Remote end closed connection without response" if closes else "timed out")
