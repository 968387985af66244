"""Which addresses a host name given by a user may lead to: a deny table against server-side request forgery."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address

# The tables stand here in full, not `ip.is_private`: that one's meaning changes between Python versions.
_DENIED_V4: Final[tuple[IPv4Network, ...]] = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network; connects to the host itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; holds cloud metadata 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host agent
        "169.254.0.0/16",  # link-local; holds cloud metadata 169.254.169.254
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_ALLOWED_V6: Final = IPv6Network("2000::/3")  # global unicast; all else (::1, fc00::/7, fe80::/10 …) is denied
_DENIED_V6: Final[tuple[IPv6Network, ...]] = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments, Teredo, ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4: leads to any IPv4 address
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_PRIVATE: Final[tuple[IPv4Network | IPv6Network, ...]] = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "::1/128", "fc00::/7")
)


def is_public(text: str) -> bool:
    """True when the address is global unicast. IPv4-mapped addresses, NAT64 and 6to4 count as what they may hide."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        return address in _ALLOWED_V6 and not any(address in network for network in _DENIED_V6)
    return not any(address in network for network in _DENIED_V4)


def is_private(text: str) -> bool:
    """True for a private network or the machine itself: what `allow_private` opens. Metadata services stay shut."""
    address: Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if str(address) == "100.100.100.200":
        return False
    return any(address.version == network.version and address in network for network in _PRIVATE)


def allowed(text: str, *, allow_private: bool) -> bool:
    return is_public(text) or (allow_private and is_private(text))
