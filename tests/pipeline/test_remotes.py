"""Push and pull against real servers on loopback, which are killed, robbed and spoiled."""

import hashlib
import os
import re
import shutil
import time

import pytest

from tests.project import ENVIRONMENT, ROOT, hashes, run, started, until
from tests.servers import S3, WRONG, Ssh, WebDav

pytestmark = [pytest.mark.slow, pytest.mark.faults]

REFUSED = re.compile("Permission denied|Forbidden|Unauthorized|does not match the signature")
UNREACHED = re.compile("Connect call failed|Could not connect|Connection refused")


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """Nobody's keys but those of the test."""
    (tmp_path / "home").mkdir()
    monkeypatch.setitem(ENVIRONMENT, "HOME", str(tmp_path / "home"))
    monkeypatch.setitem(ENVIRONMENT, "AWS_MAX_ATTEMPTS", "2")  # of five, each folder takes ten seconds to give up
    return tmp_path / "home"


@pytest.fixture(params=[Ssh, S3, WebDav], ids=["ssh", "s3", "webdav"])
def server(request, tmp_path):
    if request.param is S3:
        pytest.importorskip("s3fs", reason="needs dvc-s3: make test-faults installs it")
    (tmp_path / "server").mkdir()
    server = request.param(tmp_path / "server")
    server.start()
    yield server
    server.close()


@pytest.fixture
def mine(pulled, server):
    """A clone with all there is, whose default remote is the server."""
    run(pulled, "dvc", "remote", "add", "--default", "team", server.url)
    for key, value in (server.shared | {"verify": "true"}).items():
        run(pulled, "dvc", "remote", "modify", "team", key, value)
    run(pulled, "git", "commit", "--quiet", "-am", "our remote")
    return server.join(pulled, server.secret)


@pytest.fixture
def theirs(mine, server, tmp_path):
    """Makes a fresh clone of it, which knows the secret too."""

    def clone(settings=server.secret):
        shutil.rmtree(tmp_path / "theirs", ignore_errors=True)
        run(tmp_path, "git", "clone", "--quiet", str(mine), "theirs")
        return server.join(tmp_path / "theirs", settings)

    return clone


def contents(folder):
    """Every cached output's bytes by path."""
    paths = [path for place in ("data", "models") for path in (folder / place).rglob("*")]
    return {path.relative_to(folder): path.read_bytes() for path in paths if path.is_file()}


def enlarge(clone):
    """Add data that takes a while to push: some large files and many small ones."""
    extra = clone / "data" / "extra"
    extra.mkdir()
    for number in range(63):
        (extra / str(number)).write_bytes(os.urandom(8_000_000 if number < 3 else 20_000))
    run(clone, "dvc", "add", "--quiet", "data/extra")
    run(clone, "git", "add", "data/extra.dvc")
    run(clone, "git", "commit", "--quiet", "-m", "more data")


def objects(clone):
    """The size of every object in a clone's cache by hash."""
    paths = (clone / ".dvc/cache/files/md5").glob("??/*")
    return {path.parent.name + path.name: path.stat().st_size for path in paths}


def member(clone, path):
    """The hash of a file."""
    return hashlib.md5((clone / path).read_bytes()).hexdigest()


def test_a_colleague_gets_the_same_bytes(mine, theirs):
    assert "pushed" in run(mine, "dvc", "push")
    clone = theirs()
    run(clone, "dvc", "pull")
    assert contents(clone) == contents(mine)
    assert hashes(clone) == hashes(mine)
    assert "Data and pipelines are up to date" in run(clone, "dvc", "repro")
    assert "up to date" in run(clone, "python", "-m", "potstill", "push")
    for folder in (mine, clone):
        no_secret(folder)


def no_secret(folder):
    """Git sees nothing of `config.local`."""
    assert run(folder, "git", "status", "--porcelain", "--untracked-files=all") == ""
    secret = (folder / ".dvc/config.local").read_text()
    commits = run(folder, "git", "rev-list", "--all").split()
    for value in re.findall("= (.+)", secret):
        run(folder, "git", "grep", "--fixed-strings", value, *commits, fails=True)


@pytest.mark.parametrize("victim", ["server", "client"])
def test_a_push_that_is_killed_half_way_is_resumed(mine, theirs, server, victim):
    enlarge(mine)
    whole = objects(mine)

    def half_way():
        sizes = server.sizes()
        return len(sizes) > 40 if server.atomic else set(sizes.values()) - set(whole.values()) - {0}

    with started(mine, "dvc", "push") as (process, log):
        assert until(half_way, process), log()
        if victim == "server":
            server.kill()
            assert process.wait(200) > 0, (process.returncode, log())
            assert "ERROR: " in log()
            assert "Traceback" not in log()
    if victim == "server":
        server.start()
    time.sleep(1)  # a server that lives notices that its client does not
    there = server.sizes()
    half = [digest for digest in whole if there.get(digest, whole[digest]) != whole[digest]]
    assert not server.atomic or not half
    assert not set(whole) <= set(there)
    told = run(mine, "python", "-m", "potstill", "push")
    assert all(digest in told for digest in half), told
    assert server.sizes().items() >= whole.items(), told
    clone = theirs()
    run(clone, "dvc", "pull")
    assert contents(clone) == contents(mine)


def test_a_pull_whose_server_dies_is_resumed(mine, theirs, server):
    enlarge(mine)
    run(mine, "dvc", "push")
    clone = theirs()
    with started(clone, "dvc", "pull") as (process, log):
        assert until(lambda: len(objects(clone)) > 40, process), log()
        server.kill()
        assert process.wait(200) != 0
        assert "ERROR: " in log()
        assert "Traceback" not in log()
    server.start()
    assert "files checked" in run(clone, "make", "-o", "setup", "pull")
    assert objects(clone) == objects(mine)
    assert contents(clone) == contents(mine)


@pytest.mark.parametrize("fault", ["credentials", "down"])
def test_who_is_not_let_in_is_told_so(mine, theirs, server, fault):
    if fault == "down":
        server.kill()
    settings = server.secret | (server.wrong if fault == "credentials" else {})
    said = REFUSED if fault == "credentials" else UNREACHED
    clone = theirs(settings)
    server.join(mine, settings)
    for folder, command in ((mine, "dvc push"), (mine, "python -m potstill push"), (clone, "dvc pull")):
        start = time.monotonic()
        told = run(folder, *command.split(), fails=True)
        assert time.monotonic() - start < 90
        assert said.search(told), told
        assert "Traceback" not in told
        assert WRONG not in told
        if "potstill" in command:
            (line,) = [line for line in told.splitlines() if line.startswith("error: ")]
            assert "the remote team cannot be reached, or refuses access: " in line
    assert not objects(clone)
    if fault == "credentials":
        assert not server.sizes()


def test_what_is_missing_in_the_remote_is_told_of_and_pushed_again(mine, theirs, server):
    run(mine, "dvc", "push")
    for digest in (member(mine, "models/export/student.pot"), hashes(mine)["models/student"]):
        server.files.rm_file(server.path(digest))
        clone = theirs()
        told = run(clone, "dvc", "pull", fails=True)
        assert "ERROR: failed to " in told, told
        assert digest in told
    run(mine, "python", "-m", "potstill", "push")
    run(clone, "dvc", "pull")
    assert contents(clone) == contents(mine)


def test_what_is_damaged_in_the_remote_is_not_used(mine, theirs, server):
    run(mine, "dvc", "push")
    assert "and replaced" not in run(mine, "python", "-m", "potstill", "push", "--hash")

    def spoil(digest, change):
        data = server.files.cat_file(server.path(digest))
        server.files.rm_file(server.path(digest))
        server.files.pipe_file(server.path(digest), changed := change(data))
        assert changed != data
        return digest

    def renamed(data):
        return data.replace(b'relpath": "', b'relpath":"x')

    spoiled = {
        "models/export": spoil(
            member(mine, "models/export/student.pot"), lambda data: data[:-1] + bytes([data[-1] ^ 1])
        ),
        "models/student": spoil(hashes(mine)["models/student"], renamed),
        "data/pool": spoil(member(mine, "data/pool/pool.parquet"), lambda data: data[: len(data) // 2]),
    }
    clone = theirs()
    told = run(clone, "make", "-o", "setup", "pull", fails=True)
    assert "failed to pull data from the cloud" in told
    assert "\ndata/pool\n" in told
    assert "\nmodels/export\n" in told
    assert "error: damaged in the cache, and moved to .dvc/cache/damaged: models/student." in told
    right = contents(mine)
    other = contents(clone).items() - right.items()
    assert all(path.is_relative_to("models/student") for path, _ in other)

    assert run(mine, "python", "-m", "potstill", "push").count(spoiled["data/pool"]) == 1  # of another size
    told = run(mine, "python", "-m", "potstill", "push", "--hash")
    assert spoiled["models/export"] in told
    assert spoiled["models/student"] in told
    assert "files checked" in run(clone, "make", "-o", "setup", "pull")
    assert contents(clone) == right


def test_a_list_of_a_folder_that_is_cut_off_is_not_used(mine, theirs, server):
    run(mine, "dvc", "push")
    listing = hashes(mine)["models/student"]
    data = server.files.cat_file(server.path(listing))
    server.files.pipe_file(server.path(listing), data[:60])
    clone = theirs()
    assert f"{listing} is corrupted" in run(clone, "dvc", "pull", fails=True)
    assert listing in run(mine, "python", "-m", "potstill", "push")
    run(clone, "dvc", "pull")
    assert contents(clone) == contents(mine)


@pytest.mark.parametrize("server", [Ssh], ids=["ssh"], indirect=True)
def test_without_verify_damage_is_used_but_found_by_make_verify(mine, theirs, server):
    run(mine, "dvc", "push")
    run(mine, "dvc", "remote", "modify", "team", "verify", "false")
    run(mine, "git", "commit", "--quiet", "-am", "trusting")
    assert "`dvc remote modify team verify true` makes it" in run(mine, "python", "-m", "potstill", "push")
    digest = member(mine, "models/export/student.pot")
    server.files.pipe_file(server.path(digest), b"?" * server.sizes()[digest])
    clone = theirs()
    run(clone, "dvc", "pull")
    told = run(clone, "python", "-m", "potstill", "verify", fails=True)
    assert "moved to .dvc/cache/damaged: models/export/student.pot." in told
    run(mine, "python", "-m", "potstill", "push", "--hash")
    run(clone, "dvc", "pull", "--force")
    assert "files checked" in run(clone, "python", "-m", "potstill", "verify")
    assert contents(clone) == contents(mine)


@pytest.mark.parametrize("server", [S3], ids=["s3"], indirect=True)
def test_the_commands_of_the_page_on_teams(pulled, theirs, server, home):
    page = (ROOT / "docs/teams.md").read_text()
    install, *lines = page.split("```bash\n")[1].split("```")[0].splitlines()
    assert len(lines) == 4
    assert install == "pip install -c constraints.txt -e '.[train,s3]'"  # as make test-faults did
    (home / ".aws").mkdir()
    (home / ".aws/ours").write_text(
        f"[default]\naws_access_key_id = {server.secret['access_key_id']}\n"
        f"aws_secret_access_key = {server.secret['secret_access_key']}\nendpoint_url = {server.endpoint}\n"
    )
    run(pulled, "dvc", "remote", "remove", "store")
    for line in lines:
        run(pulled, "bash", "-c", line.replace("make push", "make -o setup push"))
    assert server.sizes() == objects(pulled)
    no_secret(pulled)
    run(pulled.parent, "git", "clone", "--quiet", str(pulled), "colleague")
    clone = pulled.parent / "colleague"
    run(clone, "bash", "-c", lines[2])
    run(clone, "make", "-o", "setup", "pull")
    assert contents(clone) == contents(pulled)
