"""Addresses that the service listens on, and its end."""

import errno
import json
import signal
import socket
from contextlib import ExitStack
from unittest.mock import Mock

import pytest

from potstill.core.errors import PotstillError
from potstill.runtime.model import Student
from potstill.service import server as servers
from tests.serving import TEXTS, ask, made, serving

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_half_a_request_does_not_delay_its_end(model, stop):
    with serving(model) as (process, place):
        host, port = place.split(":")
        body = json.dumps({"texts": TEXTS}).encode()
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = [
                "POST /predict HTTP/1.1",
                "host: localhost",
                "content-type: application/json",
                f"content-length: {len(body)}",
            ]
            connection.sendall("\r\n".join([*head, "", ""]).encode() + body[:10])
            assert ask(place, "/healthz")[0] == 200  # by now the beginning has been read
            process.send_signal(stop)
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 503 ")
            assert process.wait(5) in (-stop, 128 + stop)
        assert process.stderr.read() == ""


def test_held_connections_stop_neither_the_service_nor_its_end(model):
    with serving(model, files=160) as (process, place), ExitStack() as stack:
        host, port = place.split(":")
        for number in range(200):
            client = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            client.sendall(b"GET / HT"[: number % 9])
        assert ask(place, "/predict", {"texts": ["the"]})[0] == 200
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM
        assert process.stderr.read() == ""


def test_a_taken_port_ends_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PotstillError, match=rf"^127.0.0.1:{port} cannot be used .*\. Choose another --port\.$"):
            servers.listen("127.0.0.1", port)


@pytest.mark.parametrize(
    "host", ["", "no such host", "127.0.0.1:80", "http://localhost", "a" * 100 + ".example", "é\0"]
)
def test_a_host_that_is_none_is_told(host):
    with pytest.raises(PotstillError, match="--host: must be an address or a name of this machine"):
        servers.listen(host, 0)


def test_other_refusals_of_an_address_are_told(monkeypatch):
    with pytest.raises(PotstillError, match=r"192.0.2.1:0 cannot be used .*\. Choose another --host"):
        servers.listen("192.0.2.1", 0)
    for number, reason, other in (
        (errno.EACCES, "Permission denied", "--port"),
        (errno.EADDRINUSE, "Address already in use", "--port"),
        (errno.EINVAL, "Invalid argument", "--host"),  # fe80::1%lo
        (errno.EAFNOSUPPORT, "Address family not supported by protocol", "--host"),
    ):
        monkeypatch.setattr(socket, "create_server", Mock(side_effect=OSError(number, "told by create_server")))
        with pytest.raises(
            PotstillError, match=rf"^127.0.0.1:80 cannot be used \({reason}\)\. Choose another {other}\.$"
        ):
            servers.listen("127.0.0.1", 80)


def test_ipv6(model, capsys, monkeypatch):
    try:
        listening = servers.listen("::1", 0)
    except PotstillError:
        pytest.skip("this machine has no IPv6")
    with listening:
        monkeypatch.setattr(servers._Server, "run", lambda self, sockets: None)
        servers.run(lambda: made(Student.load(model), {}), listening, timeout=1, max_connections=10)
        port = listening.getsockname()[1]
    assert capsys.readouterr().out == f"http://[::1]:{port}/ (stop it with Ctrl-C)\n"
