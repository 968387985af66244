"""A real PostgreSQL server for a test run: own cluster in a temporary directory, Unix socket and loopback only."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg

from .process import free_port

BINARIES = [Path(f"/usr/lib/postgresql/{version}/bin") for version in range(18, 12, -1)]
USER = "postgres"


class Missing(Exception):
    """PostgreSQL is not installed here."""


@dataclass(frozen=True)
class Cluster:
    """A running server; `url(database)` is a libpq URI as the gateway's configuration takes it."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes]

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@localhost:{self.port}/{database}?host={self.directory}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    def stop(self) -> None:
        """Stop the server and remove its files."""
        self.process.send_signal(signal.SIGINT)  # SIGTERM would wait for clients that a failed test left
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        shutil.rmtree(self.directory, ignore_errors=True)


def _binaries() -> Path:
    for directory in BINARIES:
        if (directory / "postgres").exists():
            return directory
    found = shutil.which("postgres")
    if found is None:
        raise Missing("PostgreSQL's server binaries are not installed (Debian: postgresql)")
    return Path(found).parent


def _owner() -> pwd.struct_passwd | None:
    """Whom to run as: PostgreSQL refuses root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Missing("no unprivileged user to run PostgreSQL as")


def start() -> Cluster:
    """Make a cluster and start it; returns once it answers. Raises Missing where it is not installed."""
    binaries = _binaries()
    owner = _owner()
    directory = Path(tempfile.mkdtemp(prefix="gw-pg-"))
    ids = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
    if owner:
        os.chown(directory, owner.pw_uid, owner.pw_gid)
    data = directory / "data"
    environment = {"LC_ALL": "C", "PATH": os.environ.get("PATH", ""), "HOME": str(directory)}
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        stdout=subprocess.DEVNULL,
        env=environment,
        cwd=directory,
        **ids,  # type: ignore[call-overload]
    )
    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": directory,
        "max_connections": 200,
        "fsync": os.environ.get("GATEWAY_TEST_PG_FSYNC", "off"),  # a test cluster dies with its run
        "autovacuum": "off",  # a test's database must not be looked at by whom the test does not know of
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with open(directory / "log", "wb") as output:
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data, *options],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=directory,
            **ids,  # type: ignore[call-overload]
        )
    cluster = Cluster(directory, port, process)
    _await_ready(cluster, binaries)
    return cluster


def _await_ready(cluster: Cluster, binaries: Path) -> None:
    for _ in range(200):
        if cluster.process.poll() is not None:
            raise RuntimeError((cluster.directory / "log").read_text())
        # pg_isready itself waits up to a second for a server that is starting
        ready = subprocess.run(
            [binaries / "pg_isready", "-q", "-t", "1", "-h", cluster.directory, "-p", str(cluster.port)], check=False
        )
        if ready.returncode == 0:
            return
        try:
            cluster.process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    raise RuntimeError((cluster.directory / "log").read_text())
