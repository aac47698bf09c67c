"""One line per event, for grep or for a machine."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys

import pytest
import structlog

from runtime import logs


@pytest.fixture
def stream(monkeypatch):
    """Logging as it was is put back afterwards."""
    root = logging.getLogger()
    handlers, level, structured = list(root.handlers), root.level, structlog.get_config()
    monkeypatch.delenv(logs.FORMAT_VARIABLE, raising=False)
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**structured)


def test_key_value_lines(stream):
    logs.configure("node", stream=stream)
    logs.get_logger("x").info("block accepted", height=7, miner="a b")
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert 'level=info service=node event="block accepted" height=7 miner="a b"' in line
    assert line.startswith("time=")


def test_json_lines(stream, monkeypatch):
    monkeypatch.setenv(logs.FORMAT_VARIABLE, "json")
    logs.configure("node", stream=stream)
    logs.get_logger("x").warning("late", seconds=1.5)
    found = json.loads(stream.getvalue())
    assert {key: found[key] for key in ("level", "service", "event", "seconds")} == {
        "level": "warning",
        "service": "node",
        "event": "late",
        "seconds": 1.5,
    }


def test_the_standard_librarys_loggers_look_the_same(stream):
    logs.configure("node", stream=stream)
    logging.getLogger("waitress").warning("queue depth is %d", 3)
    assert 'level=warning service=node event="queue depth is 3"' in stream.getvalue()


def test_a_line_break_in_a_value_does_not_break_the_line(stream):
    logs.configure("node", stream=stream)
    logs.get_logger("x").info("vote", reason="no\nlevel=error forged")
    assert stream.getvalue().count("\n") == 1


def test_levels(stream):
    logs.configure("node", level="warning", stream=stream)
    logs.get_logger("x").info("quiet")
    assert stream.getvalue() == ""
    with pytest.raises(ValueError, match="loud"):
        logs.configure("node", level="loud")


def test_a_logger_made_before_configure_obeys_it(stream):
    early = logs.get_logger("early")
    logs.configure("node", stream=stream)
    early.info("hello")
    assert "event=hello" in stream.getvalue()


def test_exceptions_are_logged_with_their_traceback(stream):
    logs.configure("node", stream=stream)
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        logs.get_logger("x").exception("failed")
    assert "RuntimeError: boom" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_nothing_goes_to_standard_output_before_configure():
    """The command line's ``--json`` must stay JSON."""
    code = (
        "from runtime.logs import get_logger; log = get_logger('x')\nlog.info('quiet', a=1); log.warning('heard', a=1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr == "event=heard a=1\n"
