"""Which address a request comes from. What a proxy says of it counts only where the proxy is known: anybody can send
the header.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
# A request's META, or a WSGI environ.
Meta = Mapping[str, Any]

# A household or a company has at least this much of IPv6, and can use any address in it.
IPV6_PREFIX = 64
UNKNOWN = "unknown"

_HEADERS = {"Forwarded": "HTTP_FORWARDED", "X-Forwarded-For": "HTTP_X_FORWARDED_FOR"}
_FOR = re.compile(r'(?:^|[;,\s])for=("[^"]*"|[^;,\s]*)', re.IGNORECASE)
_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+")


def client_address(meta: Meta) -> str:
    """Whom limits count for: the address of who asks, of IPv6 the network that it lies in.

    Of the hops that proxies name, this is the last that is no proxy of ours; what stands before it may be made up.
    """
    found, is_proxy, counted = _peer(meta.get("REMOTE_ADDR", ""))
    if not is_proxy:
        return counted
    for hop in reversed(_hops(meta)):
        address = _address(hop)
        if address is None:  # whoever wrote this is not to be believed any further
            break
        found = address
        if not is_trusted(found):
            break
    return _counted(found)


def comes_from_proxy(meta: Meta) -> bool:
    """Whether a proxy of ours has passed the request on."""
    return _peer(meta.get("REMOTE_ADDR", ""))[1]


def is_trusted(address: Address) -> bool:
    """Whether this is a proxy of ours."""
    return any(address in network for network in settings.TRUSTED_PROXIES)


@lru_cache(maxsize=4096)
def _peer(text: str) -> tuple[Address | None, bool, str]:
    """(the address of who has connected, whether it is a proxy of ours, whom limits count for if it is none)."""
    found = _address(text)
    return found, found is not None and is_trusted(found), _counted(found)


setting_changed.connect(lambda **changed: _peer.cache_clear(), weak=False)


def _hops(meta: Meta) -> list[str]:
    text = meta.get(_HEADERS[settings.PROXY_HEADER], "")
    if settings.PROXY_HEADER == "Forwarded":
        return [hop.strip('"') for hop in _FOR.findall(text)]
    return [hop.strip() for hop in text.split(",") if hop.strip()]


def _counted(address: Address | None) -> str:
    if address is None:
        return UNKNOWN
    return str(ip_network((address, IPV6_PREFIX), strict=False) if address.version == 6 else address)


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    """The address, with or without a port; None where it is none."""
    has_port = _PORT.fullmatch(text)
    try:
        found = ip_address((has_port[1] or has_port[2]) if has_port else text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
