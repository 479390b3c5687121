"""The log: one JSON object a line, so that nothing a client sends can forge another."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone

LOGGERS = ("nanoaccel", "uvicorn.error")


class JsonLines(logging.Formatter):
    """A record as JSON: time, level, message, what the request's handler noted, and a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of ASCII."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def log_as_json() -> None:
    """Write what the package and uvicorn log to standard error, from INFO on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO if name == "nanoaccel" else logging.WARNING)
