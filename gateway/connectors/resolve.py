"""From what was given to what holds: defaults, then the provider's preset, then what somebody said; then the rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from gateway.model.errors import InvalidRequest

from .given import Given
from .options import ImapLeg, Leg, Options, SmtpLeg, Sync
from .presets import Preset, preset_named
from .search_terms import is_search

IMAP_PORTS: Final = {"tls": 993, "starttls": 143, "none": 143}
SMTP_PORTS: Final = {"tls": 465, "starttls": 587, "none": 587}
_VERSIONS: Final = ("1.0", "1.1", "1.2", "1.3")


def resolve(given: Given, provider: str, address: str) -> Options:
    """All options of a connector of `address`. InvalidRequest: an unknown provider, or the first rule that is broken.

    A side without a host is not there, whatever else was said of it.
    """
    preset = preset_named(provider)
    imap = _leg(ImapLeg(), preset.imap, given.values.get("imap", {}), address, IMAP_PORTS)
    smtp = _leg(SmtpLeg(), preset.smtp, given.values.get("smtp", {}), address, SMTP_PORTS)
    if smtp.host and imap.host:  # one account: what opens one side opens the other, where nothing else is said
        if "secret" not in given.values.get("smtp", {}):  # an empty one says that it is open without a login
            smtp = replace(smtp, secret=imap.secret)
        if "user" not in given.values.get("smtp", {}):
            smtp = replace(smtp, user=imap.user)
    options = Options(imap, smtp, replace(Sync(), **given.values.get("sync", {})))
    for path, reason in problems(options, preset, given):
        raise InvalidRequest(f"{path}: {reason}")
    return options


def _leg(base: Any, preset: Any, said: Any, address: str, ports: dict[str, int]) -> Any:
    values = {**preset, **said}
    if "security" in said and "port" not in said:
        values.pop("port", None)  # the preset's port is for the preset's security
    leg = replace(base, **values)
    return replace(
        leg,
        port=leg.port or ports[leg.security],
        user=leg.user or address,
        pins=tuple(pin.lower().replace(":", "") for pin in leg.pins),
        enabled=leg.enabled and bool(leg.host),
    )


def problems(options: Options, preset: Preset, given: Given) -> Iterator[tuple[str, str]]:
    """(section.key, reason) of each rule between options that is broken."""
    if not (options.imap.host or options.smtp.host):
        yield "imap.host", f"is needed, or smtp.host: provider {preset.name} has none"
    for name, leg in (("imap", options.imap), ("smtp", options.smtp)):
        yield from _leg_problems(name, leg, preset, given)
    imap, sync = options.imap, options.sync
    if imap.after_fetch == "move" and not imap.after_fetch_folder:
        yield "imap.after_fetch_folder", "is needed: it says where messages are moved"
    if imap.after_fetch != "keep" and sync.mode == "pull":
        yield "imap.after_fetch", "changes the account, which mode pull never does: use two-way or import"
    if (reason := is_search(imap.search)) is not None:
        yield "imap.search", reason


def _leg_problems(name: str, leg: Leg, preset: Preset, given: Given) -> Iterator[tuple[str, str]]:
    if _VERSIONS.index(leg.tls_min) > _VERSIONS.index(leg.tls_max):
        yield f"{name}.tls_min", f"is above tls_max ({leg.tls_max})"
    if leg.pin_only and not leg.pins:
        yield f"{name}.pin_only", "needs pins"
    if leg.proxy_secret and not leg.proxy:
        yield f"{name}.proxy_secret", "is for a proxy, and there is none"
    if any(char < " " or char == "\x7f" for char in leg.user):
        yield f"{name}.user", "has control characters"
    theirs = leg.host == (preset.imap if name == "imap" else preset.smtp).get("host")
    if theirs and not preset.passwords and "secret" in given.values.get(name, {}):
        yield f"{name}.secret", f"is of no use at {preset.title}. {preset.help}"
