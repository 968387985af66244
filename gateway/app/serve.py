"""The serving process: loop and reactor, signals, logs, and the exit status."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import secrets
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import structlog

from gateway.config import Config, Loaded, changes, load, reloaded
from gateway.model.errors import GatewayError
from gateway.ops import logs
from gateway.ops import loop as event_loop
from gateway.ops.systemd import Notifier

if TYPE_CHECKING:
    from .test_mode import TestMode

log = structlog.get_logger(__name__)

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_SECOND_SIGNAL: Final = 130
FLUSH_S: Final = 2.0  # beyond the configured time, for closing the store; then the process goes as by a crash


class Process:
    """One run of `gateway serve`."""

    def __init__(
        self, loaded: Loaded, *, init: bool, announce: Callable[[str], None], test: TestMode | None = None,
        until_eof: bool = False,
    ) -> None:
        self._config: Config = loaded.config
        self._test = test
        self._until_eof = until_eof
        self._path = loaded.path
        self._init = init
        self._announce = announce
        self._notifier = Notifier()
        self._stop = asyncio.Event()
        self._status = EXIT_OK
        self._reloading = asyncio.Lock()
        self._serving = asyncio.Event()
        self._reloads: set[asyncio.Task[Any]] = set()

    def run(self) -> int:
        """Serve until a signal; the exit status. GatewayErrors of the start are raised."""
        configure_logs(self._config)
        loop, reactor = event_loop.install()
        logs.begin_twisted()
        loop.set_exception_handler(_unhandled)
        _raise_file_limit()
        failure: list[BaseException] = []

        def start() -> None:
            task = loop.create_task(self._main(reactor), name="main")
            task.add_done_callback(ended)

        def ended(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                failure.append(error)
            reactor.stop()

        reactor.callWhenRunning(start)
        reactor.run(installSignalHandlers=False)
        if failure:
            raise failure[0]
        return self._status

    async def _main(self, reactor: Any) -> None:
        # Imported after the reactor is there: parts of Twisted would install another one.
        from .gateway import Gateway

        loop = asyncio.get_running_loop()
        if self._test is not None:
            self._test.begin()
        gateway = Gateway(self._config, reactor, failed=self._failed, test=self._test)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        if self._test is None:  # its settings are in no file
            loop.add_signal_handler(signal.SIGHUP, self._reload_soon, gateway)
        try:
            made = await gateway.start(init=self._init, reload=lambda: self._reload(gateway))
            self._announce(gateway.welcome(made))
            # What is there now stays: the collector need not walk it again and again.
            gc.collect()
            gc.freeze()
            gc.enable()
            self._notifier.ready(gateway.summary())
            self._serving.set()
            log.info("app.serving", ports=gateway.summary(), pid=os.getpid())
            keep_alive = loop.create_task(self._notifier.keep_alive())
            watch = loop.create_task(_until_eof(self._stop.set)) if self._until_eof else None
            await self._stop.wait()
            keep_alive.cancel()
            if watch is not None:
                watch.cancel()
            self._notifier.stopping()
            log.info("app.stopping")
        finally:
            for task in self._reloads:
                task.cancel()
            await self._shut(gateway)

    async def _shut(self, gateway: Any) -> None:
        """Drain and close within the configured time, then go whatever is left: everything acknowledged is durable."""
        seconds = self._config.server.shutdown
        try:
            async with asyncio.timeout(seconds + FLUSH_S):
                await gateway.close(seconds)
            if self._serving.is_set():
                log.info("app.stopped")
        except TimeoutError:
            log.warning("app.cut", seconds=seconds)
            _leave(self._status)

    def _signalled(self) -> None:
        if self._stop.is_set():
            log.warning("app.second_signal")
            _leave(EXIT_SECOND_SIGNAL)
        self._stop.set()

    def _failed(self) -> None:
        """A part of the process has failed for good: stop, and let systemd start afresh."""
        self._status = EXIT_FAILED
        self._stop.set()

    def _reload_soon(self, gateway: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._reload(gateway), name="reload")
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)
        task.add_done_callback(_reload_ended)

    async def _reload(self, gateway: Any) -> dict[str, Any]:
        """SIGHUP: certificates, and those settings that a running process can take. What waits for a restart is told.

        During the start it waits: what is half built has taken the old values in part. A configuration that cannot be
        used changes nothing and raises ConfigError.
        """
        await self._serving.wait()
        async with self._reloading:
            self._notifier.reloading()
            try:
                wanted = await asyncio.to_thread(load, self._path)
                found = changes(self._config, wanted.config)
                config = reloaded(self._config, wanted.config)
                await gateway.reload(config)
                self._config = config
                configure_logs(config)
            finally:
                self._notifier.ready()
            taken = [change.key for change in found if change.reloadable]
            waiting = [change.key for change in found if not change.reloadable]
            log.info("app.reloaded", changed=taken, waits_for_restart=waiting)
            return {"changed": taken, "waits_for_restart": waiting}


async def _until_eof(stop: Callable[[], None]) -> None:
    """Calls `stop` when standard input ends: whoever started us has gone."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(4096):
        pass
    stop()


def configure_logs(config: Config) -> None:
    """Level and form, and the secrets that no line may hold."""
    relays = [config.relay.secret, *(relay.secret for relay in config.relays)]
    logs.REDACTOR.hide([*(secret.reveal() for secret in relays), _password(config.store.url.reveal())])
    logs.configure(config.log.level, config.log.format)


def _password(url: str) -> str:
    """The password in a database URL, or ""."""
    parts = urlsplit(url)
    return parts.password or dict(parse_qsl(parts.query)).get("password", "")


def _reload_ended(task: asyncio.Task[Any]) -> None:
    if task.cancelled() or task.exception() is None:
        return
    error = task.exception()
    if isinstance(error, GatewayError):
        log.error("app.reload_refused", reason=str(error), remedy="mend the configuration; the old one is in force")
    else:
        log.error("app.reload_failed", exc_info=error)


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What no task's owner saw: a defect, told with an id."""
    log.error(
        "app.unhandled", error_id=secrets.token_hex(4), text=context.get("message"), exc_info=context.get("exception")
    )


def _raise_file_limit() -> None:
    """One descriptor a connection: take as many as the system lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _leave(status: int) -> None:
    """End now, as a crash would: the store is safe at every instant."""
    sys.stderr.flush()
    os._exit(status)
