"""What a server is known to do, whoever named it: by the host that it is, and by what it answers to ID.

Only behaviour that a capability list does not tell. Sources are in the notes on providers; nothing here can be tried
by a test against the provider itself, so each entry only makes us more careful.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from .plan.budget import AccountLimits

MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Profile:
    """Seconds. `idle`: until IDLE is begun again; `poll`: between looks where there is no IDLE.

    `distrust`: capabilities that are not to be used. `vanishes`: IDLE tells of messages that go.
    """

    idle: float = 540.0
    poll: float = 90.0
    distrust: frozenset[str] = frozenset()
    limits: AccountLimits = field(default_factory=AccountLimits)
    vanishes: bool = True


_USUAL: Final = Profile()
_OF_DOMAIN: Final[Mapping[str, Profile]] = {
    "gmail.com": Profile(limits=AccountLimits(2_000 * MEGABYTE)),
    "googlemail.com": Profile(limits=AccountLimits(2_000 * MEGABYTE)),
    "yahoo.com": Profile(idle=170.0, vanishes=False),
    "aol.com": Profile(idle=170.0, vanishes=False),
    # Its VANISHED names messages that live: mail would seem gone.
    "me.com": Profile(distrust=frozenset({"QRESYNC"})),
    "gmx.net": Profile(idle=480.0),
    "gmx.com": Profile(idle=480.0),
    "web.de": Profile(idle=480.0),
    "163.com": Profile(poll=55.0),
    "126.com": Profile(poll=55.0),
    "yeah.net": Profile(poll=55.0),
    "rambler.ru": Profile(idle=55.0, poll=55.0),
}


def profile_of(host: str) -> Profile:
    """By the last labels of the host's name."""
    labels = host.rstrip(".").lower().split(".")
    for start in range(len(labels) - 1):
        found = _OF_DOMAIN.get(".".join(labels[start:]))
        if found is not None:
            return found
    return _USUAL


def heard(profile: Profile, greeting: str, server_id: Mapping[str, str]) -> Profile:
    """The same server behind another name: what it says of itself."""
    said = f"{greeting} {' '.join(server_id.values())}".lower()
    if "icloud" in said or "imap.mail.me.com" in said:
        return replace(profile, distrust=profile.distrust | {"QRESYNC"})
    return profile
