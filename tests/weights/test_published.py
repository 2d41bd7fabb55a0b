"""Published weights: finding, downloading (from a local server) and checking them."""

import hashlib
import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from detkit.errors import WeightsError
from detkit.weights import PUBLISHED, download, find_weights, normalisation_of, published
from support.torch_files import WEIGHTS, needs_weights

# A key and a self-signed certificate of 127.0.0.1, for nothing but this test.
CERTIFICATE = Path(__file__).resolve().parents[1] / "support/localhost.pem"
CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _Server(HTTPServer):
    """Serves CONTENT under every path but /missing, and notes what it was asked for."""

    asked: list

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            if self.path.startswith("/to?"):
                self.send_response(302)
                self.send_header("Location", self.path.partition("?")[2])
                self.end_headers()
                return
            missing = self.path.startswith("/missing")
            self.send_response(404 if missing else 200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            # /short breaks off, as a lost connection does.
            self.wfile.write(CONTENT[:99] if self.path.startswith("/short") else CONTENT)

        def log_message(self, *_):
            """Keeps the tests' output quiet."""


@pytest.fixture
def server(monkeypatch):
    server = _Server(("127.0.0.1", 0), _Server.Handler)
    server.asked = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    server.url = f"https://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def known(server, monkeypatch):
    """The server stands in for torchvision's and `net` for one of its rows."""
    monkeypatch.setattr(published, "URL_BASE", f"{server.url}/")
    row = published.Published(f"net-{SHA256[:8]}.pth")
    monkeypatch.setitem(PUBLISHED, "net", row)
    return row


def refused(spec, cache, **options):
    with pytest.raises(WeightsError) as caught:
        find_weights(spec, cache, **options)
    return str(caught.value)


def test_every_published_file_ends_in_the_beginning_of_its_sha256():
    assert len(PUBLISHED) == 36
    for row in PUBLISHED.values():
        assert re.fullmatch(r"[0-9a-f]{8}([0-9a-f]{56})?", row.sha256)
        assert row.file.endswith(f"-{row.sha256[:8]}.pth")
        assert row.url == f"https://download.pytorch.org/models/{row.file}"
    assert len({row.file for row in PUBLISHED.values()}) == len(PUBLISHED)
    whole = {row.sha256 for row in PUBLISHED.values() if len(row.sha256) == 64}
    assert whole == set(published.WHOLE)


def test_a_name_is_downloaded_once(known, server, tmp_path):
    cache = tmp_path / "not" / "there"
    path = find_weights("net", cache)
    assert path == cache / known.file
    assert path.read_bytes() == CONTENT
    assert find_weights("net", cache) == path
    assert server.asked == [f"/{known.file}"]
    assert list(cache.iterdir()) == [path]


def test_the_cache_is_where_the_environment_says(known, tmp_path, monkeypatch):
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path))
    assert find_weights("net").parent == tmp_path / "weights"
    monkeypatch.delenv("DETKIT_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_weights("net").parent == tmp_path / ".cache" / "detkit" / "weights"


def test_a_file_put_into_the_cache_by_hand_is_used(known, server, tmp_path):
    (tmp_path / known.file).write_bytes(CONTENT)
    assert find_weights("net", tmp_path) == tmp_path / known.file
    assert server.asked == []


def test_a_damaged_file_in_the_cache_is_refused_and_removed(known, tmp_path):
    path = tmp_path / known.file
    path.write_bytes(CONTENT[:-1])
    message = refused("net", tmp_path)
    assert str(path) in message
    assert f"{len(CONTENT) - 1} bytes" in message
    assert f"with {SHA256[:8]}, found" in message
    assert not path.exists()
    assert find_weights("net", tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("digits", [SHA256, SHA256[:32], SHA256[:40].upper()])
def test_a_url_is_downloaded_and_checked(server, tmp_path, digits):
    path = find_weights(f"{server.url}/a/b/mine.pth#sha256={digits}", tmp_path)
    assert path == tmp_path / f"{SHA256[:8]}-mine.pth"
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("page", ["mine.pth", "short.pth"])
def test_a_download_with_another_hash_leaves_nothing(server, tmp_path, page):
    digits = SHA256 if page == "short.pth" else "0" * 32
    message = refused(f"{server.url}/{page}#sha256={digits}", tmp_path)
    assert f"{server.url}/{page}" in message
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_says_what_to_put_where(server, tmp_path, known):
    url = f"{server.url}/missing.pth"
    message = refused(f"{url}#sha256={SHA256}", tmp_path, where="configs/a.yaml:12")
    assert message.startswith(f"configs/a.yaml:12: {url}: ")
    assert "404" in message
    assert f"put it at {tmp_path / (SHA256[:8] + '-missing.pth')}" in message


def test_without_a_connection_the_message_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "URL_BASE", "https://127.0.0.1:9/")
    message = refused("resnet50", tmp_path)
    assert "https://127.0.0.1:9/resnet50-0676ba61.pth" in message
    assert f"put it at {tmp_path / 'resnet50-0676ba61.pth'}" in message


def test_a_redirect_leads_to_https_or_nowhere(server, tmp_path):
    url = f"{server.url}/to?{server.url}/mine.pth#sha256={SHA256}"
    assert find_weights(url, tmp_path).read_bytes() == CONTENT
    for target in ("http://127.0.0.1:9/x.pth", "ftp://127.0.0.1/x.pth", "file:///etc/passwd"):
        message = refused(f"{server.url}/to?{target}#sha256={SHA256[::-1]}", tmp_path)
        assert target in message
        assert "redirect" in message.lower()


def test_a_download_has_a_limit(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MOST_BYTES", len(CONTENT) - 1)
    message = refused(f"{server.url}/mine.pth#sha256={SHA256}", tmp_path)
    assert f"at most {len(CONTENT) - 1} bytes, found {len(CONTENT)}" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    ["{host}/..#sha256=", "{host}/a/..%2F..%2Fb.pth#sha256=", "{host}#sha256="],
)
def test_a_url_cannot_name_a_file_outside_the_cache(server, tmp_path, url):
    path = find_weights(url.format(host=server.url) + SHA256, tmp_path)
    assert path.parent == tmp_path
    assert path.name.startswith(SHA256[:8] + "-")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("https://host/a.pth", "expected https://host/a.pth#sha256="),
        ("https://host/a.pth#sha256=1234567", "first 32 digits"),
        (f"https://host/a.pth#sha256={SHA256[:31]}", "first 32 digits"),
        ("https://host/a.pth#sha256=xyzxyzxyz", "first 32 digits"),
        ("https://host/a.pth#md5=0123456789", "first 32 digits"),
        (f"http://host/a.pth#sha256={SHA256}", "begins with https://"),
        (f"file:///etc/passwd#sha256={SHA256}", "begins with https://"),
        (f"s3://bucket/a.pth#sha256={SHA256}", "begins with https://"),
        ("resnet5O", "did you mean 'resnet50'"),
        ("nothing_like_it", "\n  known: vgg11, vgg11_bn"),
        ("weights/a.pth", f"no such file in {Path.cwd()}"),
        ("/tmp/", "found a folder"),
        ("down/resnet18-f37072fd.pth", "write 'resnet18' to"),
    ],
)
def test_what_cannot_be_found_is_explained(tmp_path, spec, expected):
    message = refused(spec, tmp_path)
    assert expected in message
    assert repr(spec) in message


def test_a_path_is_itself(tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(b"")
    assert find_weights(path) == path
    assert find_weights(str(path)) == path


def test_normalisation_is_known_by_name_path_and_url():
    imagenet = normalisation_of("vgg16")
    assert imagenet.order == "RGB"
    np.testing.assert_allclose(imagenet.mean, np.array([0.485, 0.456, 0.406]) * 255)
    np.testing.assert_allclose(imagenet.std, np.array([0.229, 0.224, 0.225]) * 255)
    assert normalisation_of(Path("/somewhere/vgg16-397923af.pth")) == imagenet
    caffe = normalisation_of("vgg16_caffe")
    assert (caffe.order, caffe.mean, caffe.std) == ("RGB", (123, 117, 104), (1, 1, 1))
    file = PUBLISHED["vgg16_caffe"].file
    assert normalisation_of(f"http://host/{file}#sha256=88682ab5") == caffe
    assert normalisation_of(f"/cache/88682ab5-{file}") == caffe
    assert normalisation_of("/somewhere/mine.pth") is None


@needs_weights
def test_the_published_mobilenet_has_its_hash(tmp_path):
    file = PUBLISHED["mobilenet_v2"].file
    (tmp_path / file).write_bytes((WEIGHTS / file).read_bytes())
    assert find_weights("mobilenet_v2", tmp_path) == tmp_path / file
