"""Limits of the submission server; `app` fills them from the configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """Times in seconds, sizes in octets."""

    hostname: str = "localhost"  # in the greeting, EHLO and trace fields
    max_message_size: int = 10_485_760
    max_recipients: int = 50  # a transaction
    session_s: float = 1800.0  # a whole session: nobody keeps a slot for ever
    idle_s: float = 300.0  # between two commands (RFC 5321 4.5.3.2.7: at least 5 minutes)
    login_s: float = 60.0  # from connect to a successful AUTH: the peer is unknown
    handshake_s: float = 10.0  # TLS
    slow_window_s: float = 30.0  # in DATA: at least `slow_octets` must arrive in each such time of waiting
    slow_octets: int = 15_000  # 500 a second
    max_errors: int = 10  # wrong commands and failed logins together
    max_auth_failures: int = 5  # a mistyping person has three goes and more
    max_idle_commands: int = 100  # NOOP, RSET, EHLO, VRFY, HELP between two messages; more count as errors
    login_line: int = 1024  # a command line before login
    command_line: int = 4096  # after it: RFC 5321's 512 and all its extensions
    login_octets: int = 131_072  # all input before login
    notice: str = ""  # said in the greeting besides
    future_release_s: int = 30 * 86_400  # how far ahead mail may be put off (RFC 4865); 0: not offered
