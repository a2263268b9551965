"""What is allowed: how many bytes, from which hosts, at which addresses."""

import ipaddress
import socket

from recsql.errors import ContentError, TemporaryError
from recsql.settings import get_settings

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def too_large(n_bytes: int | None, limit: int) -> ContentError:
    """The error of a medium that has more bytes than the limit; None where nobody counted them to the end."""
    found = "more" if n_bytes is None else f"{n_bytes:,} bytes, more"
    return ContentError(f"it has {found} than the {limit:,} bytes of RECSQL_MEDIA_BYTES")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the Internet's, whatever it is wrapped in.

    Private, loopback, link-local, shared (CGNAT), multicast, reserved and documentation addresses are not, nor are IPv6
    addresses that stand for such an IPv4 address (mapped, 6to4, NAT64).
    """
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(str(wrapped))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def check_host(host: str) -> None:
    """Refuse a host that ``RECSQL_MEDIA_HOSTS`` leaves out.

    Raises:
        ContentError: it does.
    """
    allowed = get_settings().media_hosts
    if allowed and not any(host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in allowed):
        raise ContentError(f"host {host} is not among RECSQL_MEDIA_HOSTS")


def resolve(host: str, port: int, provider: str) -> list[str]:
    """The addresses of a host that may be connected to, in the resolver's order.

    The caller connects to one of these and does not look the name up again: a name that resolves to a public address
    here and to a private one a moment later gains nothing.

    Args:
        host: name or address, in lower case.
        port: port that will be connected to.
        provider: host that is given time if the name cannot be looked up.

    Raises:
        ContentError: one of them is not public, and ``RECSQL_MEDIA_PRIVATE_HOSTS`` does not name the host.
        TemporaryError: the name cannot be looked up.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise TemporaryError(f"host {host} cannot be looked up ({_reason(error)})", provider) from error
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    if host not in get_settings().media_private_hosts:
        for address in addresses:
            if not is_public(address):
                raise ContentError(
                    f"host {host} has the address {address}, which is not public: RECSQL_MEDIA_PRIVATE_HOSTS allows "
                    "hosts of one's own network"
                )
    return addresses


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
