"""Host names that are answered."""

import pytest

from potstill.core.errors import PotstillError
from potstill.service.hosts import AllowedHosts

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_at_loopback_only_its_names_are_answered(address):
    hosts = AllowedHosts(address, ["demo.example"])
    for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:80", "[::1]", "[::1]:8000", "Demo.example:8000"):
        assert hosts.accept(host)
    for host in ("", ":80", "evil.example", "10.0.0.1", "localhost.evil.example", "a@localhost", "localhost:x", "::1"):
        assert not hosts.accept(host)
    assert AllowedHosts(address, ["*"]).accept("evil.example")


def test_elsewhere_addresses_are_answered_too():
    hosts = AllowedHosts("0.0.0.0", ["fe80::1"])
    for host in ("10.0.0.1:8000", "[2001:db8::1]:80", "[fe80::1]", "localhost"):
        assert hosts.accept(host)
    assert not hosts.accept("evil.example")
    for name in ("http://a", "a:80", "a b", "", "*.a"):
        with pytest.raises(PotstillError, match="--allowed-host: must be a host name"):
            AllowedHosts("0.0.0.0", [name])
