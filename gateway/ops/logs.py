"""Logs as events with fields: for people on a terminal, JSON lines else. No secret passes, whoever wrote it."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger
from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogBeginner

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR,
}
HIDDEN: Final = "***"
# An API key keeps its id, so that its use can be followed; the secret and the checksum go.
_KEY: Final = re.compile(r"gw_([0-9A-Za-z]{10})[0-9A-Za-z]{20,}")
# user:password@ in a URL.
_URL: Final = re.compile(r"(\w+://[^\s:/@]*):[^\s/@]+@")
_NAMES: Final = frozenset({"password", "passwd", "secret", "token", "authorization", "credential", "api_key", "cookie"})
_NUMBERS: Final = (int, float)  # bool too; a union takes four times as long to ask
SHORTEST_SECRET: Final = 4  # a shorter one would blank out ordinary words


class Redactor:
    """A structlog processor that takes secrets out of all fields, nested ones and tracebacks too.

    Known by form (API keys, passwords in URLs), by the field's name, or by value: those given to `hide`.
    """

    def __init__(self) -> None:
        self._hidden: re.Pattern[str] | None = None

    def hide(self, secrets: Iterable[str]) -> None:
        """The configured secrets (relay password …) from now on; replaces the former ones."""
        known = sorted({text for text in secrets if len(text) >= SHORTEST_SECRET}, key=len, reverse=True)
        self._hidden = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {str(self.text(str(name))): self.value(str(name), value) for name, value in event.items()}

    def value(self, name: str, value: Any) -> Any:
        if name in _NAMES and value not in (None, ""):
            return HIDDEN
        if isinstance(value, str):  # nearly all are one of these
            return self.text(value)
        if value is None or isinstance(value, _NUMBERS):
            return value
        if isinstance(value, Mapping):
            return {str(key): self.value(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value("", item) for item in value]
        if isinstance(value, bytes | bytearray | memoryview):
            return self.text(bytes(value).decode("utf-8", "backslashreplace"))
        return self.text(str(value))

    def text(self, text: str) -> str:
        if "gw_" in text:
            text = _KEY.sub(rf"gw_\1{HIDDEN}", text)
        if "://" in text:
            text = _URL.sub(rf"\1:{HIDDEN}@", text)
        return self._hidden.sub(HIDDEN, text) if self._hidden is not None else text


REDACTOR: Final = Redactor()
"""The one of this process: `configure` puts it last before the writer."""


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,  # without local variables: they hold mail and secrets
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


_ENCODER: Final = json.JSONEncoder(default=str, ensure_ascii=False)  # one, for `json.dumps` makes one a line


def _json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return _ENCODER.encode(event)


def configure(level: str = "info", style: str = "auto", stream: TextIO | None = None) -> None:
    """Set up structlog, and lead the standard library's logging (warnings and worse) into it. May be called again.

    `level`: debug, info, warning, error. `style`: auto, human, json; auto asks whether `stream` is a terminal.
    """
    stream = stream or sys.stderr
    human = style == "human" or (style == "auto" and stream.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=28
        )
        if human
        else _json_line
    )
    structlog.configure(
        processors=[*_shared(), REDACTOR, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,  # a reload changes the level of loggers that exist
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *_shared()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, REDACTOR, renderer],
    ))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(LEVELS[level], logging.WARNING))


def twisted_observer() -> Callable[[Mapping[str, Any]], None]:
    """Twisted's log into ours: warnings and worse, failures with their traceback."""
    log = structlog.get_logger("twisted")
    methods = {LogLevel.warn: "warning", LogLevel.error: "error", LogLevel.critical: "error"}

    def observe(event: Mapping[str, Any]) -> None:
        method = methods.get(event.get("log_level", LogLevel.info))
        if method is None:
            return
        failure = event.get("log_failure")
        fields = {"exception": failure.getTraceback()} if failure is not None else {}
        getattr(log, method)("twisted.log", text=formatEvent(dict(event)), source=event.get("log_namespace"), **fields)

    return observe


def begin_twisted() -> None:
    """Let Twisted log through us; once a process, after `configure`. Standard output stays as it is."""
    observer: ILogObserver = twisted_observer()  # type: ignore[assignment]  # a callable is all the interface asks
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)
