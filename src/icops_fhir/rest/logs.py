"""Logs: one JSON object per line on standard error, ids only, never what a resource says.

https://www.structlog.org/
"""

from __future__ import annotations

import logging
import sys

import orjson
import structlog


def configure(level: str) -> None:
    """For the whole process; uvicorn and the libraries too."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=lambda value, **_: orjson.dumps(value, default=str).decode()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)      # why it cannot start, `serve` says itself


class _Line(logging.Formatter):
    """A library's record in our shape; of an exception only its name, for its text could quote a resource."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"event": record.getMessage(), "level": record.levelname.lower(), "logger": record.name}
        if record.exc_info and record.exc_info[0] is not None:
            line["event"], line["error"] = record.getMessage().partition("\n")[0], record.exc_info[0].__name__
        return orjson.dumps(line, default=str).decode()
