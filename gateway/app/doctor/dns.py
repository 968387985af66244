"""SRV records by which mail programs find the ports (RFC 6186, RFC 8314 5.1), each asked for by one UDP query."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from twisted.names import dns

from gateway.config import Config, Listener

from .findings import Finding, problem, warning, well

TIMEOUT_S: Final = 3.0
TRIES: Final = 2
_SERVICES: Final = {
    ("imap", "tls"): "_imaps._tcp",
    ("imap", "starttls"): "_imap._tcp",
    ("submission", "tls"): "_submissions._tcp",
    ("submission", "starttls"): "_submission._tcp",
}

Service = tuple[str, int]
"""Host without the root's dot, lower case, and port."""
Lookup = Callable[[str], list[Service]]


class LookupFailed(Exception):
    """No name server gave an answer."""


def check_dns(config: Config, domain: str, lookup: Lookup | None = None) -> Iterator[Finding]:
    """For each port of the configuration: whether `domain` has the SRV record that leads to it, else that record."""
    ask = lookup or srv
    for listener in config.listener:
        service = _SERVICES.get((listener.kind, listener.security))
        if service is not None:
            yield _check(config, listener, f"{service}.{domain}", ask)


def _check(config: Config, listener: Listener, name: str, ask: Lookup) -> Finding:
    wanted = (config.server.hostname.lower().rstrip("."), listener.port)
    record = f"{name}. 3600 IN SRV 0 1 {wanted[1]} {wanted[0]}."
    try:
        found = ask(name)
    except LookupFailed as error:
        return problem("DNS", f"{name} could not be looked up: {error}", "check /etc/resolv.conf and the network")
    if wanted in found:
        return well("DNS", f"{name} leads to {wanted[0]} port {wanted[1]}")
    if found:
        told = ", ".join(f"{host} port {port}" for host, port in found)
        return problem("DNS", f"{name} leads to {told}", f"make it: {record}")
    return warning("DNS", f"{name} is not there: mail programs must be told the port by hand", f"add: {record}")


def srv(name: str) -> list[Service]:
    """The SRV records of `name` from the system's name servers; LookupFailed when none of them answers."""
    query = dns.Message(id=secrets.randbits(16), recDes=1)
    query.addQuery(name.encode("idna"), dns.SRV)
    for server in name_servers(Path("/etc/resolv.conf")) * TRIES:
        try:
            answer = _exchange(server, query.toStr(), query.id)
        except OSError:
            continue
        if answer.rCode in (dns.OK, dns.ENAME):
            return [
                (str(record.payload.target).lower().rstrip("."), int(record.payload.port))
                for record in answer.answers
                if isinstance(record.payload, dns.Record_SRV)
            ]
    raise LookupFailed("no name server answered")


def name_servers(path: Path) -> list[str]:
    """The addresses in resolv.conf(5); the local resolver where the file names none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ["127.0.0.1"]
    found = [words[1] for line in lines if len(words := line.split()) > 1 and words[0] == "nameserver"]
    return found or ["127.0.0.1"]


def _exchange(server: str, query: bytes, query_id: int) -> dns.Message:
    """One question and its answer; TimeoutError, OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(server, 53, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as link:
        link.settimeout(TIMEOUT_S)
        link.connect(address)  # so that only this server's answers arrive
        link.send(query)
        answer = dns.Message()
        answer.fromStr(link.recv(4096))
    if answer.id != query_id:
        raise OSError("an answer to another question")
    return answer
