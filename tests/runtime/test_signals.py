"""SIGINT and SIGTERM become one event."""

from __future__ import annotations

import signal

import pytest

pytestmark = pytest.mark.fleet

SERVICE = """
from runtime.signals import Stopped, raise_if_stopped, stop_event
stop = stop_event()
assert stop_event() is stop
raise_if_stopped()
print("ready", flush=True)
stop.wait()
try:
    raise_if_stopped()
except Stopped:
    print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_sets_the_event(start_python, number):
    process = start_python(SERVICE)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.stdout.readline() == "stopped\n"
    assert process.wait(10) == 0


def test_a_second_ctrl_c_interrupts_what_does_not_look(start_python):
    code = """
import signal, sys
from runtime.signals import stop_event
stop = stop_event()
print("ready", flush=True)
stop.wait()
try:
    print("deaf", flush=True)
    while True: signal.pause()
except KeyboardInterrupt:
    sys.exit(5)
"""
    process = start_python(code)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "deaf\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 5


def test_the_first_call_must_be_in_the_main_thread(start_python):
    code = """
import threading
from runtime.signals import stop_event
def ask():
    try: stop_event()
    except RuntimeError: print("refused", flush=True)
thread = threading.Thread(target=ask); thread.start(); thread.join()
"""
    assert start_python(code).stdout.readline() == "refused\n"
