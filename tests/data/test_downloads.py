"""Downloads of published data: what networks, servers, disks and other processes may do to them. The server is local."""

import gzip
import hashlib
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.configs import defaults
from helpers.published import PUBLISHED, write
from helpers.runs import put

import genbench
from genbench.data import downloads
from genbench.data import published as datasets
from genbench.data.downloads import Download, fetched
from genbench.data.loading import load_data
from genbench.utils import signals
from genbench.utils.errors import UserError

CONTENT = np.random.default_rng(0).bytes(100_000)


class Server(ThreadingHTTPServer):
    """Answers a path by the bytes or the function of a request that `answers` has for it; 404 where it has none."""

    daemon_threads = True

    def __init__(self):
        self.answers, self.asked = {}, []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        answer = self.server.answers.get(self.path)
        if answer is None:
            self.send_error(404)
        elif callable(answer):
            answer(self)
        else:
            self.send(answer)

    def send(self, content, promised=None):
        self.send_response(200)
        self.send_header("Content-Length", str(promised or len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def published(server, name="file.gz", content=CONTENT):
    """A file that is on the server, and to be had from there."""
    server.answers[f"/{name}"] = content
    return Download(name, f"{server.url}/{name}", hashlib.sha256(content).hexdigest())


def get(download, folder):
    (file,) = fetched([download], folder, "dataset=mnist", "give dataset.root=FOLDER")
    return file.read_bytes()


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_a_file_is_fetched_once_and_then_needs_no_network(server, tmp_path, capsys):
    download = published(server)
    assert get(download, tmp_path / "new" / "cache") == CONTENT
    assert (
        f"downloading {download.url} into {tmp_path / 'new' / 'cache'}" in capsys.readouterr().out
    )
    assert (
        get(download._replace(url="http://nowhere.invalid/"), tmp_path / "new" / "cache") == CONTENT
    )
    assert (
        server.asked == ["/file.gz"]
        and visible(tmp_path / "new" / "cache") == ["file.gz"]
        and not capsys.readouterr().out
    )


def wrong(request):
    request.send(b"<html>log in to this network</html>")


def cut(request):
    request.send(CONTENT[:1000], promised=len(CONTENT))


def garbage(request):
    request.wfile.write(b"no HTTP at all\r\n\r\n")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            wrong,
            rf"expected the SHA-256 {hashlib.sha256(CONTENT).hexdigest()} \(got [0-9a-f]{{64}}\)",
        ),
        (cut, r"the connection was cut, expected 100,000 bytes \(got 1,000\)"),
        (garbage, r"no HTTP at all"),
        (None, r"HTTP Error 404: Not Found"),
    ],
)
def test_what_does_not_arrive_is_tried_twice_and_told(answer, says, server, tmp_path):
    download = published(server)
    server.answers["/file.gz"] = answer
    with pytest.raises(
        UserError, match=rf"^dataset=mnist: {download.url} could not be downloaded: {says}"
    ) as told:
        get(download, tmp_path)
    assert (
        told.value.code == 2
        and told.value.fix == f"put file.gz into {tmp_path} by hand, or give dataset.root=FOLDER"
    )
    assert len(server.asked) == 2 and not visible(tmp_path)


def test_no_network_is_told(server, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/file.gz"
    with pytest.raises(
        UserError,
        match=r"could not be downloaded: <urlopen error .*refused.*; fix: put file.gz into ",
    ):
        get(published(server)._replace(url=url), tmp_path)
    assert not visible(tmp_path)


def test_a_server_that_falls_silent_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 0.05)
    download, over = published(server), threading.Event()
    server.answers["/file.gz"] = lambda request: over.wait(5)
    with pytest.raises(UserError, match=r"could not be downloaded: .*timed out"):
        get(download, tmp_path)
    over.set()
    assert len(server.asked) == 2 and not visible(tmp_path)


def test_a_second_attempt_may_succeed(server, tmp_path):
    download = published(server)
    server.answers["/file.gz"] = lambda request: (
        cut(request) if len(server.asked) == 1 else request.send(CONTENT)
    )
    assert (
        get(download, tmp_path) == CONTENT
        and len(server.asked) == 2
        and visible(tmp_path) == ["file.gz"]
    )


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-1], lambda c: b"", lambda c: c[:500] + bytes([c[500] ^ 1]) + c[501:]]
)
def test_a_damaged_file_is_set_aside_and_fetched_again(damage, server, tmp_path, capsys):
    download = published(server)
    (tmp_path / "file.gz").write_bytes(damage(CONTENT))
    assert get(download, tmp_path) == CONTENT
    assert (tmp_path / "file.gz.damaged").read_bytes() == damage(CONTENT) and visible(tmp_path) == [
        "file.gz",
        "file.gz.damaged",
    ]
    assert (
        f"warning: {tmp_path / 'file.gz'} is not as it was published; kept as file.gz.damaged"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a link"])
def test_what_is_no_file_is_set_aside_and_fetched(kind, server, tmp_path):
    put(kind, tmp_path / "file.gz", tmp_path / "elsewhere")
    assert get(published(server), tmp_path) == CONTENT and os.path.lexists(
        tmp_path / "file.gz.damaged"
    )


def test_what_dead_processes_left_is_swept(server, tmp_path):
    (tmp_path / ".file.gz.genbench-123456.tmp").touch()
    get(published(server), tmp_path)
    assert visible(tmp_path) == ["file.gz"]


def test_a_file_appears_only_when_all_of_it_is_on_the_disk(server, tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr(
        os, "fsync", lambda fd, do=os.fsync: events.append(os.fstat(fd).st_ino) or do(fd)
    )
    monkeypatch.setattr(
        os, "replace", lambda a, b, do=os.replace: events.append((str(a), str(b))) or do(a, b)
    )
    get(published(server), tmp_path)
    temporary, file = tmp_path / f".file.gz.genbench-{os.getpid()}.tmp", tmp_path / "file.gz"
    assert events == [file.stat().st_ino, (str(temporary), str(file)), tmp_path.stat().st_ino]


def test_a_cache_folder_that_cannot_be_written_is_told(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        UserError,
        match=r"^cache folder: cannot be used: Not a directory \(got .*fix: set GENBENCH_CACHE to another",
    ):
        get(published(server), tmp_path / "file" / "cache")


def test_a_full_disk_is_no_network_error(server, tmp_path, monkeypatch):
    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"^cache folder: cannot be used: No space left on device"):
        get(published(server), tmp_path)
    assert not visible(tmp_path)


def test_downloading_stops_on_request(server, tmp_path, monkeypatch):
    monkeypatch.setattr(signals, "_asked", None)
    monkeypatch.setattr(downloads, "BYTES_AT_ONCE", 1000)

    def slow(request):
        request.send(CONTENT[:5000], promised=len(CONTENT))
        signals.ask(signal.SIGTERM)
        request.wfile.write(CONTENT[5000:])

    download = published(server)
    server.answers["/file.gz"] = slow
    with pytest.raises(signals.Interrupted):
        get(download, tmp_path)
    assert not visible(tmp_path) and len(server.asked) == 1


def test_waiting_is_told_once_and_stops_on_request(server, tmp_path, monkeypatch):
    said, looks = [], iter(range(3))

    def check():
        if next(looks, None) is None:
            raise signals.Interrupted(signal.SIGINT)

    monkeypatch.setattr(downloads, "echo", said.append)
    monkeypatch.setattr(downloads, "check", check)
    code = "import sys, pathlib; from genbench.utils.lock import Lock; "
    code += "lock = Lock(pathlib.Path(sys.argv[1])); lock.acquire(); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with pytest.raises(signals.Interrupted, match="SIGINT"):
            get(published(server), tmp_path)
        other.communicate(b"\n")
    assert not server.asked and said == [
        f"waiting for another process, which is downloading into {tmp_path}"
    ]


PROCESS = """
import sys
from pathlib import Path
from genbench.data.downloads import Download, fetched

fetched([Download("file.gz", *sys.argv[1:3])], Path(sys.argv[3]), "dataset=mnist", "")
"""


@pytest.mark.parametrize("killed", [False, True])
def test_of_two_processes_one_downloads(killed, server, tmp_path):
    download, half, go = published(server), threading.Event(), threading.Event()

    def slow(request):
        if len(server.asked) > 1:
            return request.send(CONTENT)
        request.send(CONTENT[:50_000], promised=len(CONTENT))
        half.set()
        go.wait(20)
        return None if killed else request.wfile.write(CONTENT[50_000:])

    server.answers["/file.gz"] = slow
    environment = os.environ | {"PYTHONPATH": str(Path(genbench.__file__).parent.parent)}
    command = [sys.executable, "-c", PROCESS, download.url, download.sha256, str(tmp_path)]

    def start():
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    with start() as one:
        assert half.wait(20)
        with start() as two:
            assert (
                two.stdout.readline()
                == f"waiting for another process, which is downloading into {tmp_path}\n"
            )
            assert not (tmp_path / "file.gz").exists(), "half a file is never seen"
            if killed:
                one.kill()
            go.set()
            said, wrong = two.communicate(timeout=20)
        one.communicate(timeout=20)
    assert two.returncode == 0 and one.returncode == (-signal.SIGKILL if killed else 0), wrong
    assert (
        len(server.asked) == (2 if killed else 1)
        and ("downloading http" in said) == killed
        and "waiting" not in said
    )
    assert (tmp_path / "file.gz").read_bytes() == CONTENT and visible(tmp_path) == ["file.gz"]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """A dataset's files, and them packed as they are published, by their names."""
    root, rng = tmp_path_factory.mktemp("archives"), np.random.default_rng(0)

    def packed(dataset):
        folder = root / PUBLISHED[dataset]
        if not folder.exists():
            write(dataset, root, rng)
        if dataset == "mnist":
            return {
                f"{file.name}.gz": gzip.compress(file.read_bytes()) for file in folder.iterdir()
            }
        name, top = {
            "cifar10": ("cifar-10-python.tar.gz", folder),
            "lfw": ("lfw-funneled.tgz", folder / "lfw_funneled"),
        }[dataset]
        with tarfile.open(root / name, "w:gz") as tar:
            tar.add(top, top.name)
        return {name: (root / name).read_bytes()}

    return root, packed


@pytest.mark.parametrize("dataset", ["mnist", "cifar10", "lfw"])
def test_what_is_downloaded_is_what_is_given(dataset, archives, server, tmp_path, monkeypatch):
    root, packed = archives
    loader, files = getattr(datasets, dataset), packed(dataset)
    assert {download.name for download in loader.downloads} == files.keys()
    monkeypatch.setattr(
        datasets,
        dataset,
        replace(
            loader,
            downloads=tuple(published(server, d.name, files[d.name]) for d in loader.downloads),
        ),
    )
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    settings = defaults(dataset) | {"val_size": 0.2}
    given, ours = (
        load_data(settings | {"root": where}, torch.device("cpu")) for where in (root, None)
    )
    for name, part in given.splits.items():
        assert torch.equal(ours.splits[name].raw, part.raw) and torch.equal(
            ours.splits[name].y, part.y
        )
    assert visible(tmp_path / PUBLISHED[dataset]) == sorted(files) and ours.names == given.names
    server.answers.clear()
    load_data(settings, torch.device("cpu"))
    assert len(server.asked) == len(files), "the second time they are there"


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_every_dataset_is_pinned_and_says_what_to_put_where(dataset, tmp_path, monkeypatch):
    def offline(url, timeout):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    loader = getattr(datasets, dataset.replace("-", "_"))
    assert all(len(bytes.fromhex(download.sha256)) == 32 for download in loader.downloads)
    with pytest.raises(UserError) as told:
        load_data(defaults(dataset), torch.device("cpu"))
    first, folder = loader.downloads[0], PUBLISHED[dataset]
    assert (
        told.value.key == f"dataset={dataset}"
        and told.value.what == f"{first.url} could not be downloaded: no network"
    )
    assert (
        told.value.fix
        == f"put {first.name} into {tmp_path / folder} by hand, or give dataset.root=FOLDER that holds {folder}"
    )
