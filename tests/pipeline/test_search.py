"""A search shared by several machines: real processes, and a real PostgreSQL server."""

import ast
import getpass
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.project import free, kill, run, set_params, started, until

pytestmark = [pytest.mark.slow, pytest.mark.faults]

SEARCH = ("python", "-m", "potstill", "search", "--budget", "900", "--jobs", "1", "--trials")
PASSWORD = "p@ss/w:rd%"
TRAINED = re.compile(r"^\d+/\d+: .* parameters, .* bytes, (.*)$", re.M)


class Server:
    """A PostgreSQL server that requires a password and listens on this machine only."""

    def __init__(self, programs, folder):
        self.programs, self.folder, self.port = programs, folder, free()
        # PostgreSQL refuses to run as root.
        self.user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if getpass.getuser() == "root" else {}
        (folder / "password").write_text(PASSWORD)
        if self.user:
            shutil.chown(folder, "nobody", "nogroup")
            shutil.chown(folder / "password", "nobody")
        self.call("initdb", "--username=me", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--no-sync")
        self.start()

    def call(self, program, *arguments):
        command = [self.programs / program, "--pgdata", self.folder / "data", *arguments]
        subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, timeout=120, **self.user)

    def start(self):
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        self.call("pg_ctl", "--wait", "--log", self.folder / "log", "--options", options, "start")

    def stop(self):
        self.call("pg_ctl", "--wait", "--mode=immediate", "stop")

    def url(self, password="p%40ss%2Fw%3Ard%25", database="postgres"):
        return f"postgresql://me:{password}@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("psycopg", reason="PostgreSQL requires the extra `postgresql`")
    found = [Path(path).parent for path in [shutil.which("initdb")] if path]
    found += sorted(path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp())  # pytest's is closed to other users, `nobody` among them
    server = Server(found[-1], folder)
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def machines(pulled):
    """Return two clones with the data pulled."""
    other = pulled.parent / "other"
    shutil.copytree(pulled, other)
    return pulled, other


@pytest.mark.parametrize("kind", ["journal", "postgresql"])
def test_machines_share_a_search_of_which_one_is_killed_and_restarted(machines, tmp_path, kind, request):
    storage = str(tmp_path / "shared") if kind == "journal" else request.getfixturevalue("server").url()
    command = (*SEARCH, "10", "--storage", storage)
    logs = []
    with started(machines[0], *command) as (one, log), started(machines[1], *command) as (other, other_log):
        assert until(lambda: TRAINED.search(log()), one), log()
        kill(one)
        logs.append(log())
        with started(machines[0], *command) as (one, log):
            assert one.wait(300) == 0, log()
            assert other.wait(60) == 0, other_log()
            logs += [log(), other_log()]
    results = [json.loads((folder / "metrics/search/results.json").read_text()) for folder in machines]
    assert results[0] == results[1]
    trained = [frozenset(ast.literal_eval(params).items()) for log in logs for params in TRAINED.findall(log)]
    assert len(set(trained)) == len(trained) >= 9  # the killed one may not have printed its last result
    found = {frozenset(result["params"].items()) for result in results[0]["results"]}
    assert len(found) == len(results[0]["results"]) == 10
    assert set(trained) <= found
    assert PASSWORD not in "".join(logs)
    table = (machines[1] / "metrics/search/table.md").read_text()
    assert table == (machines[0] / "metrics/search/table.md").read_text()
    assert "10/10" not in run(machines[0], *command)  # nothing left to do


def test_a_search_with_other_parameters_in_the_same_storage_is_separate(pulled, tmp_path):
    storage = ("--storage", str(tmp_path / "shared"))
    assert "note:" not in run(pulled, *SEARCH, "1", *storage)
    set_params(pulled, {"student.word_dropout": 0.25})
    output = run(pulled, *SEARCH, "1", *storage)
    assert "also has 1 search on other data, parameters or budgets, not used here" in output
    assert len(TRAINED.findall(output)) == 1


def test_a_server_that_stops_is_reported_and_the_search_can_continue(pulled, server):
    command = (*SEARCH, "8", "--storage", server.url(), "--unit", "bytes")
    with started(pulled, *command) as (process, log):
        assert until(lambda: TRAINED.search(log()), process), log()
        server.stop()
        try:
            assert process.wait(120) == 1, log()
        finally:
            server.start()
    (line,) = [line for line in log().splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: postgresql://127.0.0.1:{server.port}/postgres: ")
    assert "Traceback" not in log()
    assert "8/8" in run(pulled, *command)
    assert len(json.loads((pulled / "metrics/search/results.json").read_text())["results"]) == 8


def test_a_database_error_is_one_line_without_the_password(pulled, server):
    for url, message in (
        (server.url("hush-hush"), "password authentication failed"),
        (server.url(database="nowhere"), 'database "nowhere" does not exist'),
        (server.url().replace(f":{server.port}", ":1"), "Connection refused"),
        (server.url("hush@hush"), "write %40 for @"),
        (server.url().replace(str(server.port), "hush"), "must be like postgresql://"),
        ("mysql://me:hush@localhost/search", "a URL that begins with postgresql://"),
    ):
        output = run(pulled, *SEARCH, "1", "--storage", url, fails=True)
        assert output.startswith("error: "), output
        assert message in output
        assert output.count("\n") == 1, output
        assert "hush" not in output
        assert PASSWORD not in output
