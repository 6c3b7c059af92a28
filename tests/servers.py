"""Servers that DVC pushes to, on loopback."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import fsspec
import psutil
import pytest

from tests.project import ENVIRONMENT, free, run

# Drawn per run, so that they occur only where they leak.
KEY, RIGHT, WRONG = (secrets.token_hex(8) for _ in range(3))


def found(program):
    """The path of a program that the test needs."""
    path = shutil.which(program, path=f"{ENVIRONMENT['PATH']}:/usr/sbin")
    return path or pytest.skip(f"needs {program}: make test-faults installs it")


class Server:
    """A server with a folder of its own, and what a clone has to know of it."""

    atomic = True  # whether an object appears whole or not at all
    url: str
    shared: dict[str, str]  # settings that Git sees
    secret: dict[str, str]
    wrong: dict[str, str]

    def __init__(self, folder):
        self.folder, self.port = folder, free()
        self.store = folder / "store"
        self.store.mkdir()
        self.files, self.root = fsspec.filesystem("file"), str(self.store)
        self.log = (folder / "log").open("w")

    def start(self):
        self.process = subprocess.Popen(
            self.command, cwd=self.folder, stdout=self.log, stderr=self.log, start_new_session=True,
            env=os.environ | {"HOME": str(self.folder), "RCLONE_CONFIG": "/dev/null"},
        )  # fmt: skip
        for _ in range(300):
            with suppress(OSError):
                self.ready()
                return
            assert self.process.poll() is None, self.told()
            time.sleep(0.1)
        raise AssertionError(self.told())

    def ready(self):
        socket.create_connection(("127.0.0.1", self.port), timeout=1).close()

    def told(self):
        return (self.folder / "log").read_text()[-3000:]

    def kill(self):
        """As a power cut does it: with all that serves a connection."""
        doomed = [self.process, *psutil.Process(self.process.pid).children(recursive=True)]
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self.log.close()

    def join(self, clone, settings):
        """What a colleague does."""
        for key, value in settings.items():
            run(clone, "dvc", "remote", "modify", "--local", "team", key, value)
        return clone

    def sizes(self):
        """The size of every object by hash."""
        with suppress(FileNotFoundError):
            listed = self.files.find(f"{self.root}/files/md5", detail=True)
            return {"".join(path.split("/")[-2:]): info["size"] for path, info in listed.items()}
        return {}

    def path(self, digest):
        return f"{self.root}/files/md5/{digest[:2]}/{digest[2:]}"


class Ssh(Server):
    def __init__(self, folder):
        super().__init__(folder)
        for key in ("host", "ours", "foreign"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
        (folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/ours.pub\n"
            "PidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nStrictModes no\n"
            "Subsystem sftp internal-sftp\n"
        )
        self.command = [found("sshd"), "-D", "-e", "-f", folder / "config"]
        self.url = f"ssh://127.0.0.1:{self.port}{self.store}"
        self.shared = {}
        self.secret = {"keyfile": str(folder / "ours")}
        self.wrong = {"keyfile": str(folder / "foreign")}
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # which Debian makes when it starts one


class S3(Server):
    def __init__(self, folder):
        super().__init__(folder)
        identity = {"name": "team", "credentials": [{"accessKey": KEY, "secretKey": RIGHT}]}
        identity["actions"] = ["Read", "Write", "List"]
        owner = {"name": "owner", "credentials": [{"accessKey": "owner", "secretKey": "owner"}], "actions": ["Admin"]}
        (folder / "keys.json").write_text(json.dumps({"identities": [identity, owner]}))
        self.ports = {name: free() for name in ("master", "volume", "filer")}
        self.grpc = {name: free() for name in ("master", "volume", "filer", "s3")}
        self.ports["s3"] = self.port
        self.command = [
            found("weed"), "-logtostderr=true", "server", f"-dir={self.store}", "-ip=127.0.0.1", "-filer", "-s3",
            "-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=8", "-s3.port.iceberg=0",
            "-s3.port.lance=0", f"-s3.config={folder}/keys.json",
            *(f"-{name}.port={port}" for name, port in self.ports.items()),
            *(f"-{name}.port.grpc={port}" for name, port in self.grpc.items()),
        ]  # fmt: skip
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.files = fsspec.filesystem(
            "s3", key="owner", secret="owner", endpoint_url=self.endpoint, use_listings_cache=False
        )
        self.root = "bucket/potstill"
        self.url = f"s3://{self.root}"
        self.shared = {"endpointurl": self.endpoint}
        self.secret = {"access_key_id": KEY, "secret_access_key": RIGHT}
        self.wrong = {"access_key_id": KEY, "secret_access_key": WRONG}

    def ready(self):
        super().ready()
        self.files.makedirs("bucket", exist_ok=True)
        self.files.pipe_file("bucket/ready", b"yes")

    def close(self):
        super().close()
        for port in (*self.ports.values(), *self.grpc.values()):
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()


class WebDav(Server):
    atomic = False

    def __init__(self, folder):
        super().__init__(folder)
        self.command = [
            found("rclone"), "serve", "webdav", self.store, "--addr", f"127.0.0.1:{self.port}",
            "--user", "team", "--pass", RIGHT, "--dir-cache-time", "0s",
        ]  # fmt: skip
        self.url = f"webdav://127.0.0.1:{self.port}"
        self.shared = {"user": "team"}
        self.secret = {"password": RIGHT}
        self.wrong = {"password": WRONG}
