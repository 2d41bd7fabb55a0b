"""Published weights: finding and downloading them (from a local server), and loading a block."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from detkit.errors import WeightsError
from detkit.weights import (
    PUBLISHED,
    find_weights,
    load_weights,
    normalisation_of,
    published,
    read_pth,
)

WEIGHTS = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "weights"
needs_shared = pytest.mark.skipif(not WEIGHTS.is_dir(), reason=f"{WEIGHTS} is not there")
CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


# --- Finding ------------------------------------------------------------------------------------


class _Server(HTTPServer):
    """Serves CONTENT under every path but /missing, and notes what it was asked for."""

    asked: list

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            missing = self.path.startswith("/missing")
            self.send_response(404 if missing else 200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            # /short breaks off, as a lost connection does.
            self.wfile.write(CONTENT[:99] if self.path.startswith("/short") else CONTENT)

        def log_message(self, *_):
            """Keeps the tests' output quiet."""


@pytest.fixture
def server():
    server = _Server(("127.0.0.1", 0), _Server.Handler)
    server.asked = []
    server.url = f"http://127.0.0.1:{server.server_port}"
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
    assert len(PUBLISHED) == 23
    for row in PUBLISHED.values():
        assert re.fullmatch(r"[0-9a-f]{8}", row.sha256)
        assert row.url == f"https://download.pytorch.org/models/{row.file}"
    assert len({row.file for row in PUBLISHED.values()}) == len(PUBLISHED)


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
    assert find_weights("net").parent == tmp_path
    monkeypatch.delenv("DETKIT_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert published.default_cache() == tmp_path / ".cache" / "detkit" / "weights"


def test_a_file_put_into_the_cache_by_hand_is_used(known, server, tmp_path):
    (tmp_path / known.file).write_bytes(CONTENT)
    assert find_weights("net", tmp_path) == tmp_path / known.file
    assert server.asked == []


def test_a_damaged_file_in_the_cache_is_refused_and_removed(known, tmp_path):
    path = tmp_path / known.file
    path.write_bytes(CONTENT[:-1])
    message = refused("net", tmp_path)
    assert str(path) in message
    assert f"{len(CONTENT) - 1} bytes, expected a sha256 beginning with {SHA256[:8]}" in message
    assert not path.exists()
    assert find_weights("net", tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("digits", [SHA256, SHA256[:8], SHA256[:12].upper()])
def test_a_url_is_downloaded_and_checked(server, tmp_path, digits):
    path = find_weights(f"{server.url}/a/b/mine.pth#sha256={digits}", tmp_path)
    assert path == tmp_path / f"{SHA256[:8]}-mine.pth"
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("page", ["mine.pth", "short.pth"])
def test_a_download_with_another_hash_leaves_nothing(server, tmp_path, page):
    digits = SHA256 if page == "short.pth" else "0" * 8
    message = refused(f"{server.url}/{page}#sha256={digits}", tmp_path)
    assert f"{server.url}/{page}" in message
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_says_what_to_put_where(server, tmp_path, known):
    url = f"{server.url}/missing.pth"
    message = refused(f"{url}#sha256={SHA256}", tmp_path, where="configs/a.yaml:12")
    assert message.startswith(f"configs/a.yaml:12: cannot download {url} (")
    assert "404" in message
    assert f"put it at {tmp_path / (SHA256[:8] + '-missing.pth')}" in message


def test_without_a_connection_the_message_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "URL_BASE", "http://127.0.0.1:9/")
    message = refused("resnet50", tmp_path)
    assert "http://127.0.0.1:9/resnet50-0676ba61.pth" in message
    assert f"put it at {tmp_path / 'resnet50-0676ba61.pth'}" in message


@pytest.mark.parametrize(
    "url",
    ["http://host/..#sha256=", "http://host/a/..%2F..%2Fb.pth#sha256=", "http://host#sha256="],
)
def test_a_url_cannot_name_a_file_outside_the_cache(url):
    name = published._file_name(*published._split_url(url + SHA256))
    assert name.startswith(SHA256[:8] + "-")
    assert "/" not in name


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("http://host/a.pth", "a download must be checked; write http://host/a.pth#sha256="),
        ("http://host/a.pth#sha256=1234567", "at least the first 8 digits"),
        ("http://host/a.pth#sha256=xyzxyzxyz", "at least the first 8 digits"),
        ("http://host/a.pth#md5=0123456789", "a download must be checked"),
        ("file:///etc/passwd#sha256=01234567", "only http:// and https:// are downloaded"),
        ("s3://bucket/a.pth#sha256=01234567", "only http:// and https:// are downloaded"),
        ("resnet5O", "Did you mean resnet50"),
        ("nothing_like_it", "Known names: vgg16, vgg16_caffe"),
        ("weights/a.pth", "there is no such file (working directory:"),
        ("/tmp/", "it is a folder"),
        ("down/resnet18-f37072fd.pth", "`resnet18` would download it from https://download"),
    ],
)
def test_what_cannot_be_found_is_explained(tmp_path, spec, expected):
    assert expected in refused(spec, tmp_path)


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


# --- Loading ------------------------------------------------------------------------------------


class Block(nn.HybridBlock):
    """A convolution and a batch norm whose channels wait for the first input."""

    def __init__(self, in_channels=0):
        super().__init__()
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(
                nn.Conv2D(4, 3, in_channels=in_channels),
                nn.BatchNorm(in_channels=4 if in_channels else 0),
            )

    def hybrid_forward(self, F, x):
        return self.features(x)


@pytest.fixture
def state():
    rng = np.random.default_rng(0)
    shapes = {"0.weight": (4, 3, 3, 3), "0.bias": (4,)}
    shapes.update({f"1.{n}": (4,) for n in ("weight", "bias", "running_mean", "running_var")})
    arrays = {f"features.{n}": rng.uniform(1, 2, s).astype("f4") for n, s in shapes.items()}
    return {**arrays, "features.1.num_batches_tracked": np.array(7)}


def values(block):
    return {n: p.data().asnumpy() for n, p in block._collect_params_with_prefix().items()}


def refused_load(block, state, **options):
    with pytest.raises(WeightsError) as caught:
        load_weights(block, state, **options)
    return str(caught.value)


@pytest.mark.parametrize("initialised", [False, True])
@pytest.mark.parametrize("in_channels", [0, 3])
@pytest.mark.parametrize("grad_req", ["write", "null"])
def test_parameters_take_their_values_in_every_state(state, initialised, in_channels, grad_req):
    block = Block(in_channels)
    block.collect_params().setattr("grad_req", grad_req)
    if initialised:
        block.initialize()
    assert load_weights(block, state) == []
    found = values(block)
    np.testing.assert_array_equal(found["features.0.weight"], state["features.0.weight"])
    np.testing.assert_array_equal(found["features.1.gamma"], state["features.1.weight"])
    np.testing.assert_array_equal(found["features.1.beta"], state["features.1.bias"])
    for name in ("features.1.running_mean", "features.1.running_var"):
        np.testing.assert_array_equal(found[name], state[name])
    assert block.features[0].weight.grad_req == grad_req
    block.hybridize()
    first = block(mx.nd.ones((2, 3, 5, 5))).asnumpy()
    load_weights(block, {name: array * 2 for name, array in state.items()})
    assert np.abs(block(mx.nd.ones((2, 3, 5, 5))).asnumpy() - first).max() > 0.1
    np.testing.assert_array_equal(values(block)["features.0.bias"], state["features.0.bias"] * 2)


def test_the_loaded_block_computes_what_the_numbers_say(state):
    block = Block(3)
    load_weights(block, state)
    image = np.random.default_rng(1).normal(size=(3, 3, 3)).astype("f4")
    scale, shift, average, variance = (
        state[f"features.1.{n}"] for n in ("weight", "bias", "running_mean", "running_var")
    )
    product = np.einsum("kchw,chw->k", state["features.0.weight"], image)
    expected = product + state["features.0.bias"] - average
    expected = expected / np.sqrt(variance + 1e-5) * scale + shift
    found = block(mx.nd.array(image[None])).asnumpy().ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_half_precision_is_turned_into_the_parameters_type(state):
    block = Block()
    load_weights(block, {name: array.astype(np.float16) for name, array in state.items()})
    assert {array.dtype for array in values(block).values()} == {np.dtype(np.float32)}
    half = Block(3)
    half.cast("float16")
    load_weights(half, state)
    assert values(half)["features.0.weight"].dtype == np.float16


def test_values_reach_every_device_of_the_parameters(state):
    block = Block()
    contexts = [mx.cpu(0), mx.cpu(1)]
    block.initialize(ctx=contexts)
    load_weights(block, state)
    for context in contexts:
        found = block.features[0].bias.data(context)
        assert found.context == context
        np.testing.assert_array_equal(found.asnumpy(), state["features.0.bias"])


def test_unused_names_are_returned_sorted(state):
    state.update({"classifier.weight": np.ones(2), "aux": np.ones(1)})
    assert load_weights(Block(), state) == ["aux", "classifier.weight"]
    message = refused_load(Block(), state, allow_unused=False)
    assert "in the file that the network does not have (2):\n  'aux'" in message


def test_names_override_the_default_mapping(state):
    state["stem.kernel"] = state.pop("features.0.weight")
    block = Block()
    assert load_weights(block, state, names={"features.0.weight": "stem.kernel"}) == []
    np.testing.assert_array_equal(values(block)["features.0.weight"], state["stem.kernel"])
    message = refused_load(Block(), state, names={"features.0.wieght": "stem.kernel"})
    assert "'features.0.wieght' (the nearest is 'features.0.weight')" in message


def test_missing_names_are_all_listed_and_nothing_is_changed(state):
    block = Block(3)
    block.initialize()
    before = values(block)
    renamed = {n.replace("features.1", "feature.1"): a for n, a in state.items()}
    message = refused_load(block, renamed)
    assert "weights missing in the file (4):" in message
    assert "'features.1.weight' (the nearest is 'feature.1.weight')" in message
    after = values(block)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_long_list_of_missing_names_is_cut_and_counted():
    block = nn.HybridSequential()
    block.add(*(nn.Dense(1, in_units=1) for _ in range(8)))
    message = refused_load(block, {"x": np.ones(1)})
    assert "(16):" in message
    assert message.count("\n") == 11
    assert message.endswith("... and 6 more")


def test_wrong_shapes_are_all_listed(state):
    state["features.0.weight"] = np.ones((4, 3, 5, 5), "f4")
    state["features.0.bias"] = np.ones((4, 1), "f4")
    message = refused_load(Block(), state)
    assert "weights of another shape (2):" in message
    assert "'features.0.weight': (4, 3, 5, 5) in the file, (4, 0, 3, 3) in the network" in message
    assert "'features.0.bias': (4, 1) in the file, (4,) in the network" in message


def test_values_that_are_not_finite_are_refused(state):
    state["features.0.bias"][2] = np.nan
    state["unused"] = np.full(2, np.nan)
    message = refused_load(Block(), state)
    assert "weights with values that are not finite (1):\n  'features.0.bias'" in message


class VGG16Features(nn.HybridBlock):
    """Numbered as torchvision's: a convolution, a ReLU, and a pooling after each of five stages."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.features = nn.HybridSequential()
            for layers, channels in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
                for _ in range(layers):
                    conv = nn.Conv2D(channels, 3, padding=1)
                    self.features.add(conv, nn.Activation("relu"))
                self.features.add(nn.MaxPool2D())

    def hybrid_forward(self, F, x):
        return self.features(x)


@needs_shared
def test_vgg16_takes_torchvisions_convolutions():
    state = read_pth(WEIGHTS / "vgg16_features_fp16.pth")
    block = VGG16Features()
    assert load_weights(block, state, allow_unused=False) == []
    last = block.features[28].weight.data().asnumpy()
    np.testing.assert_array_equal(last, state["features.28.weight"].astype(np.float32))
    features = block(mx.nd.zeros((1, 3, 32, 32)))
    assert features.shape == (1, 512, 1, 1)
    assert np.isfinite(features.asnumpy()).all()


@needs_shared
def test_the_published_mobilenet_has_its_hash(tmp_path):
    file = PUBLISHED["mobilenet_v2"].file
    (tmp_path / file).write_bytes((WEIGHTS / file).read_bytes())
    assert find_weights("mobilenet_v2", tmp_path) == tmp_path / file
