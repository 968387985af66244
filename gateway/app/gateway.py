"""All parts of one gateway, built in the order of what they need and closed in the opposite order."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

import structlog

from gateway.access.audit import AuditLog
from gateway.auth.authenticator import Authenticator
from gateway.auth.cache import VerifiedSecrets
from gateway.auth.last_used import LastUsed
from gateway.auth.pool import HashPool
from gateway.auth.sessions import LiveSessions
from gateway.auth.throttle import ConnectionLimits, LoginThrottle
from gateway.config import Config, encryption
from gateway.connectors.desk import Desk
from gateway.connectors.supervisor import Supervisor
from gateway.control.operations import Context
from gateway.control.operations.first import FirstRun, first_inbox
from gateway.control.server import ControlServer
from gateway.delivery import figures
from gateway.delivery.bounces import Notices
from gateway.delivery.debts import Debts
from gateway.delivery.desk import ReportDesk
from gateway.delivery.ports import NO_ACCOUNTS, Accounts
from gateway.delivery.runner import QueueRunner
from gateway.delivery.scheduler import Scheduler
from gateway.imap.services import ImapServices
from gateway.imap.states import States
from gateway.imap.submitted_urls import SubmittedUrls
from gateway.ingest.writer import Ingest
from gateway.maintain.janitor import Janitor
from gateway.maintain.texts import TextBuilder
from gateway.maintain.trigrams import TrigramBuilder
from gateway.ops.health import HealthServer
from gateway.ops.metrics import CONTENT_TYPE, PrometheusMetrics
from gateway.ops.systemd import listen_sockets
from gateway.ops.tls import TlsContexts
from gateway.smtp.ports import SubmissionServices
from gateway.store import counters, trigram_file
from gateway.store.db import Database
from gateway.submit.accept import Submissions
from gateway.submit.drafting import Drafting
from gateway.submit.intake import Intake

from .any_address import AnyAuthenticator, AnyDirectory
from .datadir import CONTROL_SOCKET
from .freshness import OnAccess
from .listeners import Listeners, SourceGate
from .sending_accounts import SendingAccounts
from .settings import (
    connector_settings,
    delivery_settings,
    first_address,
    imap_settings,
    inbox_limits,
    janitor_settings,
    master_key,
    reach,
    routes,
    smtp_settings,
    submit_settings,
    throttle_policy,
    tls_files,
    trigram_path,
)
from .storage import held_data_dir, opened_store
from .tasks import Tasks, ended
from .test_mode import NOTICE, TestMode
from .web import Web
from .webhooks import deliver
from .welcome import block, client_settings

log = structlog.get_logger(__name__)

QUEUE_FIGURES_S: Final = 15.0  # as often as Prometheus usually asks

Reload = Callable[[], Awaitable[Any]]


class Gateway:
    """Start once, close once. Whatever `start` had opened when it failed, `close` closes."""

    def __init__(
        self, config: Config, reactor: Any, *, failed: Callable[[], None], test: TestMode | None = None
    ) -> None:
        self._config = config
        self._test = test
        self._reactor = reactor
        self._tasks = Tasks(failed)
        self._stack = AsyncExitStack()
        self._started = int(time.time())
        self._health: HealthServer | None = None
        self._listeners: Listeners | None = None
        self._tls: TlsContexts | None = None
        self._accounts: Accounts = NO_ACCOUNTS
        self._runner: QueueRunner | None = None
        self._debts: Debts | None = None
        self._delivering: asyncio.Task[Any] | None = None
        self._janitor: tuple[Database, asyncio.Event, asyncio.Task[Any]] | None = None
        self._throttle = LoginThrottle(throttle_policy(config))
        self._limits = ConnectionLimits(config.limits.connections_per_ip, config.limits.connections_per_inbox)
        self._metrics = PrometheusMetrics()

    async def start(self, *, init: bool, reload: Reload) -> FirstRun | None:
        """Everything up to open ports. With `init` the first inbox is made where there is none.

        ConfigError, Busy, Unavailable: one sentence for the person who starts it.
        """
        config, stack = self._config, self._stack
        await stack.enter_async_context(held_data_dir(config, test=self._test is not None))
        tls = self._tls = TlsContexts(tls_files(config), time.time)
        db = await stack.enter_async_context(opened_store(config, serving=True))
        await db.write(lambda tx: counters.begin_relaxed(tx, config.store.flag_sync > 0))
        made = await first_inbox(db, first_address(config), self._started, inbox_limits(config)) if init else None
        if self._test is not None:
            await self._test.make_key(db, self._started)
        trigrams = await self._trigrams(db)
        stack.push_async_callback(self._tasks.close)
        sessions, authenticator = self._logins(db)
        desk = await self._desk_of_connectors(db)
        ingest = Ingest(db, now=time.time)
        states = States(db, imap_settings(config), self._metrics)
        states.start()
        stack.push_async_callback(states.close)
        supervisor = Supervisor(
            db, ingest, desk.accounts, connector_settings(config), clock=time.time, chance=random.random,
            gates=desk.gates,
        )  # fmt: skip
        on_access = OnAccess(supervisor.look)
        await self._sending(db, desk, on_access)
        runner = self._runner = QueueRunner(
            db, ingest, routes(config), delivery_settings(config), clock=time.time, metrics=self._metrics,
            accounts=self._accounts,
        )
        submissions, drafting, intake = self._acceptance(db, ingest, runner)
        context = await self._control(db, ingest, reload, desk, supervisor)
        await self._health_port(db)
        gate = SourceGate(self._limits)
        self._listeners = Listeners(
            config,
            self._reactor,
            tls,
            ImapServices(
                db=db,
                ingest=ingest,
                authenticator=authenticator,
                states=states,
                settings=imap_settings(config),
                metrics=self._metrics,
                clock=time.time,
                sessions=sessions,
                gate=gate,
                hostname=config.server.hostname,
                trigrams=trigrams,
                drafting=drafting,
                freshness=on_access,
            ),
            SubmissionServices(
                acceptor=submissions,
                authenticator=authenticator,
                sessions=sessions,
                clock=time.time,
                settings=smtp_settings(config, notice="" if self._test is None else NOTICE),
                metrics=self._metrics,
                gate=gate,
                intake=intake,
                urls=SubmittedUrls(db, time.time, config.server.hostname),
            ),
            Web(config, context, authenticator, submissions, drafting, gate, self._metrics, trigrams, on_access),
            listen_sockets() | ({} if self._test is None else self._test.sockets),
        )
        await self._listeners.open()
        self._delivering = self._tasks.spawn("delivery", runner.run())
        # It ends before what it syncs with is closed.
        stack.push_async_callback(ended, self._tasks.spawn("connectors", supervisor.run()))
        stack.push_async_callback(ended, self._tasks.spawn("webhooks", deliver(config, db, desk.vault, self._metrics)))
        self._tasks.spawn("tls.watch", tls.watch())
        if trigrams is not None:
            self._tasks.spawn("search.trigrams", trigrams.run())
        self._spawn(db, ingest)
        stack.push_async_callback(self._end_janitor)
        return made

    def _acceptance(self, db: Database, ingest: Ingest, runner: QueueRunner) -> tuple[Submissions, Drafting, Intake]:
        """All that takes mail, whoever brings it; they share what they know of addresses."""
        settings = submit_settings(self._config)
        submissions = Submissions(
            db, ingest, time.time, settings,
            not_carried=lambda inbox, sender, recipient: runner.ways.refusal(inbox, sender, recipient),
            directory=AnyDirectory(db) if self._test is not None else None,
        )
        self._stack.push_async_callback(submissions.drain)
        drafting = Drafting(
            db, submissions.directory, time.time, settings,
            not_carried=submissions.not_carried, token=submissions.token,
        )
        intake = Intake(db, ingest, time.time, settings, submissions.directory)
        self._stack.push_async_callback(intake.drain)
        return submissions, drafting, intake

    def _spawn(self, db: Database, ingest: Ingest) -> None:
        """What works behind every acceptance."""
        self._tasks.spawn("reports", self._desk(db, ingest).run())
        self._tasks.spawn("drafts", Scheduler(db, time.time).run())
        self._tasks.spawn("queue.figures", figures.watch(db, time.time, self._metrics, QUEUE_FIGURES_S))
        self._tasks.spawn("search.texts", TextBuilder(db, time.time, metrics=self._metrics).run())
        self._start_janitor(db, self._config)

    def _desk(self, db: Database, ingest: Ingest) -> ReportDesk:
        settings = delivery_settings(self._config)
        notices = Notices(db, ingest, hostname=settings.hostname)
        debts = self._debts = Debts(db, notices, settings, clock=time.time)
        return ReportDesk(db, debts, clock=time.time, metrics=self._metrics)

    async def _trigrams(self, db: Database) -> TrigramBuilder | None:
        """Who keeps the trigram index; where there is to be none, a file of before would only grow old."""
        path = trigram_path(self._config)
        if self._config.search.trigram:
            builder = TrigramBuilder(db, path, metrics=self._metrics)
            await builder.prepare()
            return builder
        if trigram_file.remove(path):
            log.info("trigrams.removed")
        return None

    def _start_janitor(self, db: Database, config: Config) -> None:
        stop = asyncio.Event()
        janitor = Janitor(db, janitor_settings(config), time.time, metrics=self._metrics)
        self._janitor = (db, stop, self._tasks.spawn("janitor", janitor.run(stop)))

    async def _end_janitor(self) -> Database | None:
        """It ends with the piece it is at; the store it kept tidy, None when there was no janitor."""
        if self._janitor is None:
            return None
        db, stop, task = self._janitor
        self._janitor = None
        stop.set()
        await _ended(task)
        return db

    def _logins(self, db: Database) -> tuple[LiveSessions, Authenticator]:
        auth = self._config.auth
        pool = HashPool(auth.hash_threads)
        self._stack.callback(pool.close)
        last_used = LastUsed(db, auth.touch_interval)
        self._stack.push_async_callback(last_used.flush)
        self._tasks.spawn("auth.last_used", last_used.run())
        sessions = LiveSessions(db, time.time, limits=self._limits)
        sessions.start()
        self._stack.push_async_callback(sessions.close)
        checks = Authenticator if self._test is None else AnyAuthenticator
        authenticator = checks(
            db, pool, self._throttle, time.time,
            cache=VerifiedSecrets(auth.cached_keys), last_used=last_used, metrics=self._metrics,
        )
        return sessions, authenticator

    async def _desk_of_connectors(self, db: Database) -> Desk:
        """Says at once where stored passwords cannot be opened. MissingKey, ConfigError."""
        config = self._config
        desk = Desk.open(
            db, master_key(config), reach(config), clock=time.time, metrics=self._metrics,
            destination=connector_settings(config).destination,
        )  # fmt: skip
        self._stack.push_async_callback(desk.close)
        await desk.vault.check()
        return desk

    async def _sending(self, db: Database, desk: Desk, on_access: OnAccess) -> None:
        """Accounts that mail goes out through."""
        accounts = SendingAccounts(db, desk.accounts, desk.gates, on_access, clock=time.time)
        self._stack.callback(await accounts.start())
        self._tasks.spawn("connectors.sending", accounts.run())
        self._accounts = accounts

    async def _control(
        self, db: Database, ingest: Ingest, reload: Reload, desk: Desk, supervisor: Supervisor
    ) -> Context:
        context = Context(
            db=db,
            ingest=ingest,
            now=time.time,
            max_import_size=self._config.limits.max_import_size,
            reload=reload,
            status=self.status,
            routes=lambda: routes(self._config),
            accounts=lambda: self._accounts.table,
            live_queue=self._runner,
            desk=desk,
            live_sync=supervisor,
            audit=self._audit_log(db),
            test_mode=self._test is not None,
        )
        control = ControlServer(context, self._config.store.data_dir / CONTROL_SOCKET)
        await control.start()
        self._stack.push_async_callback(control.close)
        return context

    def _audit_log(self, db: Database) -> AuditLog:
        log_ = AuditLog(db)
        self._tasks.spawn("audit", log_.run())
        self._stack.push_async_callback(log_.flush)
        return log_

    async def _health_port(self, db: Database) -> None:
        if not self._config.metrics.enabled:
            return

        async def store() -> str | None:
            await db.read(lambda rx: None)
            return None if db.writable else "read-only after a failed flush to disk: check the disk, then restart"

        def page() -> bytes:
            self._metrics.gauge("store_reader_processes", db.reader_processes)
            return self._metrics.page()

        health = HealthServer(page, metrics_type=CONTENT_TYPE, checks={"store": store})
        await health.start(self._config.metrics.address, self._config.metrics.port)
        self._stack.push_async_callback(health.close)
        self._health = health

    async def reload(self, config: Config) -> None:
        """Take over what a running process can: certificates, relay and queue, throttling, limits, retention.

        ConfigError (from the certificate's files): nothing has changed.
        """
        if self._tls is not None:
            self._tls.reload(tls_files(config))
        self._throttle.policy = throttle_policy(config)
        self._limits.per_source = config.limits.connections_per_ip
        self._limits.per_inbox = config.limits.connections_per_inbox
        if self._runner is not None:
            self._runner.routes = routes(config)
            self._runner.settings = delivery_settings(config)
        if self._debts is not None:
            self._debts.settings = delivery_settings(config)
        db = await self._end_janitor()
        if db is not None:
            self._start_janitor(db, config)
        self._config = config

    async def close(self, seconds: float) -> None:
        """Stop accepting, end the sessions within `seconds`, then everything else, the store last."""
        if self._health is not None:
            self._health.draining = True
        async with asyncio.TaskGroup() as ending:
            if self._listeners is not None:
                ending.create_task(self._listeners.close(seconds))
            if self._runner is not None and self._delivering is not None:
                self._runner.stop()
                ending.create_task(_ended(self._delivering))
        await self._stack.aclose()

    def summary(self) -> str:
        """The open ports in one line."""
        if self._listeners is None:
            return "not serving"
        return ", ".join(
            f"{listener.kind} {listener.path or port} ({encryption(listener)})"
            for listener, port in self._listeners.bound
        )

    def welcome(self, made: FirstRun | None) -> str:
        """What `serve --init` prints: the settings with the new key, or those of a store that was there already."""
        if self._test is not None:
            return self._test.announcement() if self._test.as_json else self._test.text()
        if made is None:
            return ""
        return block(client_settings(self._config, made.address, made.key))

    def status(self) -> dict[str, Any]:
        """For `gateway doctor`: what this process serves."""
        listeners = self._listeners
        return {
            "started_at": self._started,
            "connections": listeners.connections if listeners else 0,
            "ports": [
                {
                    "kind": listener.kind, "address": listener.path or listener.address, "port": port,
                    "security": encryption(listener),
                }
                for listener, port in (listeners.bound if listeners else ())
            ],
        }


async def _ended(task: asyncio.Task[Any]) -> None:
    """Until `task` is over; its failure has been told of by its owner."""
    await asyncio.wait([task])
