"""Logging of every service: one line per event, ``key=value``, or JSON with ``ASSAY_LOG=json``.

Structlog's loggers and the standard library's (waitress, Celery, urllib3) come out of the same handler in the
same form, so a service's log file can be read with ``grep`` alone.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

#: The environment variable that chooses the form; anything but ``json`` is ``key=value``.
FORMAT_VARIABLE = "ASSAY_LOG"
#: From which a service may log.
LEVELS = ("debug", "info", "warning", "error", "critical")


def _renderer() -> Processor:
    if os.environ.get(FORMAT_VARIABLE, "").lower() == "json":
        return structlog.processors.JSONRenderer(sort_keys=False)
    return structlog.processors.LogfmtRenderer(key_order=["time", "level", "service", "event"], bool_as_flag=False)


def configure(service: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Send all logging of this process to ``stream`` (standard error by default), from ``level`` upwards.

    May be called again; the last call counts.  Raises ``ValueError`` for a level that is none.
    """
    if level.lower() not in LEVELS:
        raise ValueError(f"expected a log level, one of {', '.join(LEVELS)}, came {level!r}")
    number = logging.getLevelNamesMapping()[level.upper()]

    def add_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        add_service,
        structlog.processors.format_exc_info,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer()],
    )
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared[:2],
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared[3:],
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # Not cached, so that a logger made at import obeys a later configure().
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that takes an event and fields: ``log.info("update accepted", job=job, partition=3)``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


# Until a service configures logging (the command line never does), events go through the standard library,
# which prints warnings to standard error; structlog's own default writes everything to standard output.
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.processors.format_exc_info,
        structlog.processors.LogfmtRenderer(key_order=["event"], bool_as_flag=False),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=False,
)
