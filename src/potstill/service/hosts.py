"""The Host headers that the service accepts."""

import ipaddress
import re
from collections.abc import Iterable

from potstill.core.errors import PotstillError

HEADER = re.compile(r"(\[[^]]+\]|[^:]+)(?::[0-9]*)?")  # a name or an address, and a port
NAME = re.compile(r"[A-Za-z0-9_.-]+|\*")


class AllowedHosts:
    """Protects from DNS rebinding: a page of another site that resolves its own name to this machine.

    The browser of such a page sends that name as the Host, which is refused.
    """

    def __init__(self, address: str, names: Iterable[str]) -> None:
        """Collect the hosts.

        Args:
            address: the IP address that the service listens at. If it is not loopback, any IP address is accepted as
                the Host, since no site can own one as its name.
            names: other accepted hosts; `*` for any.

        Raises:
            PotstillError: one of `names` is not a host name.
        """
        self.names = {"localhost", "127.0.0.1", "[::1]"}
        for name in [address, *names]:
            if not NAME.fullmatch(name) and not _is_address(name):
                raise PotstillError(f"--allowed-host: must be a host name without scheme and port (found: {name!r})")
            self.names.add(f"[{name.lower()}]" if ":" in name else name.lower())
        self.any_address = not ipaddress.ip_address(address).is_loopback

    def accept(self, header: str) -> bool:
        """Return whether requests with this Host header are answered."""
        if not (match := HEADER.fullmatch(header.lower())):
            return False
        host = match[1]
        return host in self.names or "*" in self.names or (self.any_address and _is_address(host.strip("[]")))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
