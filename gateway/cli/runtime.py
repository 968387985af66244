"""What every command starts from: the configuration, and a way to run operations on its store."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterable
from functools import cached_property
from typing import Any

import click

from gateway.config import Config, Loaded, load
from gateway.control.client import OnFrame
from gateway.control.frames import Frame

from . import interruptible

Json = Any


class Runtime:
    """Loads the configuration once, when a command first needs it (so `--help` works with a broken one)."""

    def __init__(self, config_path: str | None) -> None:
        self._config_path = config_path

    @cached_property
    def loaded(self) -> Loaded:
        """ConfigError names file, key and reason."""
        return load(self._config_path)

    @property
    def named(self) -> bool:
        """Whether the command line names a file."""
        return self._config_path is not None

    @property
    def config(self) -> Config:
        return self.loaded.config

    def call(
        self, op: str, *, feed: AsyncIterable[Frame] | None = None, on_frame: OnFrame | None = None, **params: Json
    ) -> Json:
        """Run one operation: through the running server, or here when none runs. None parameters are left out."""
        return interruptible.run(self.acall(op, feed=feed, on_frame=on_frame, **params))

    async def acall(
        self, op: str, *, feed: AsyncIterable[Frame] | None = None, on_frame: OnFrame | None = None, **params: Json
    ) -> Json:
        """`call` for who runs a loop already."""
        from gateway.app.admin import open_caller

        given = {name: value for name, value in params.items() if value is not None}
        async with open_caller(self.config, before_local=self.here) as caller:
            return await caller.call(op, given, feed=feed, on_frame=on_frame)

    def here(self) -> None:
        """To be called before anything is done in this process that a server would do: it may log.

        Results go to standard output alone. structlog takes as long to import as all else that a command beside a
        server needs, so those go without; `serve` sets up logs of its own.
        """
        import structlog

        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )


pass_runtime = click.make_pass_decorator(Runtime)
