"""The weights that torchvision publishes: names, hashes, normalisations, and the download."""

import http.client
import os
import re
import urllib.error
import urllib.parse
from pathlib import Path
from typing import NamedTuple, Optional, Tuple, Union

from detkit.errors import WeightsError
from detkit.files.disk import cache_folder, sha256_of
from detkit.weights.download import download
from detkit.wording import did_you_mean

URL_BASE = "https://download.pytorch.org/models/"
HASH_DIGITS = 8  # the digits of a sha256 in torchvision's file names
# The fewest of a URL's sha256. 8 digits are 32 bits, for which another file is found in an hour.
URL_DIGITS = 32
# The whole sha256 of torchvision's files, if several independent sources state it. The others are
# checked by the digits in their names and by the certificate of torchvision's server.
WHOLE = (
    "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",  # vgg16
    "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",  # resnet18
    "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",  # resnet50
    "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca",  # resnet50_v2
    "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",  # mobilenet_v2
    "8738ca797c879b547d18bbd15da5736ff2557b2036a9af72225393ca61759a04",  # mobilenet_v3_large
    "258fb6c638b15964ddcdd1ae0748c5eef1be9e732750120cc857feed3faac384",  # fasterrcnn_resnet50_fpn
    "bf2d0c1efbc936eeee2bc95a48e80ebc86b891f61b0106485937fc29f9315fc0",  # maskrcnn_resnet50_fpn
)


class Normalisation(NamedTuple):
    """The input that a network was trained on: (pixel - mean) / std of pixels in [0, 255].

    mean, std: one number for each channel, in the network's order.
    order: that order, "RGB" or "BGR".
    """

    mean: Tuple[float, float, float]
    std: Tuple[float, float, float]
    order: str = "RGB"


IMAGENET = Normalisation(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
# torchvision states these numbers for the file ported from amdegroot/ssd.pytorch.
CAFFE = Normalisation(mean=(123.0, 117.0, 104.0), std=(1.0, 1.0, 1.0))


class Published(NamedTuple):
    """A file on torchvision's server; its name ends with the first digits of its sha256."""

    file: str
    normalisation: Normalisation = IMAGENET

    @property
    def url(self) -> str:
        """The address of the file."""
        return URL_BASE + self.file

    @property
    def sha256(self) -> str:
        """The file's sha256 if it is known, otherwise its first 8 digits."""
        digits = Path(self.file).stem.rpartition("-")[2]
        return next((whole for whole in WHOLE if whole.startswith(digits)), digits)


PUBLISHED = {
    "vgg11": Published("vgg11-8a719046.pth"),
    "vgg11_bn": Published("vgg11_bn-6002323d.pth"),
    "vgg13": Published("vgg13-19584684.pth"),
    "vgg13_bn": Published("vgg13_bn-abd245e5.pth"),
    "vgg16": Published("vgg16-397923af.pth"),
    "vgg16_caffe": Published("vgg16_features-amdegroot-88682ab5.pth", CAFFE),
    "vgg16_bn": Published("vgg16_bn-6c64b313.pth"),
    "vgg19": Published("vgg19-dcbb9e9d.pth"),
    "vgg19_bn": Published("vgg19_bn-c79401a0.pth"),
    "resnet18": Published("resnet18-f37072fd.pth"),
    "resnet34": Published("resnet34-b627a593.pth"),
    "resnet50": Published("resnet50-0676ba61.pth"),
    "resnet50_v2": Published("resnet50-11ad3fa6.pth"),
    "resnet101": Published("resnet101-63fe2227.pth"),
    "resnet101_v2": Published("resnet101-cd907fc2.pth"),
    "resnet152": Published("resnet152-394f9c45.pth"),
    "resnet152_v2": Published("resnet152-f82ba261.pth"),
    "resnext50_32x4d": Published("resnext50_32x4d-7cdf4587.pth"),
    "resnext50_32x4d_v2": Published("resnext50_32x4d-1a0047aa.pth"),
    "resnext101_32x8d": Published("resnext101_32x8d-8ba56ff5.pth"),
    "resnext101_32x8d_v2": Published("resnext101_32x8d-110c445d.pth"),
    "resnext101_64x4d": Published("resnext101_64x4d-173b62eb.pth"),
    "mobilenet_v2": Published("mobilenet_v2-b0353104.pth"),
    "mobilenet_v2_v2": Published("mobilenet_v2-7ebf99e0.pth"),
    "mobilenet_v3_large": Published("mobilenet_v3_large-8738ca79.pth"),
    "mobilenet_v3_large_v2": Published("mobilenet_v3_large-5c1a4163.pth"),
    "mobilenet_v3_small": Published("mobilenet_v3_small-047dcff4.pth"),
    "fasterrcnn_resnet50_fpn": Published("fasterrcnn_resnet50_fpn_coco-258fb6c6.pth"),
    "fasterrcnn_resnet50_fpn_v2": Published("fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth"),
    "fasterrcnn_mobilenet_v3_large_fpn": Published(
        "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth"
    ),
    "fasterrcnn_mobilenet_v3_large_320_fpn": Published(
        "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth"
    ),
    "maskrcnn_resnet50_fpn": Published("maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"),
    "maskrcnn_resnet50_fpn_v2": Published("maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth"),
    "keypointrcnn_resnet50_fpn": Published("keypointrcnn_resnet50_fpn_coco-fc266e95.pth"),
    "retinanet_resnet50_fpn": Published("retinanet_resnet50_fpn_coco-eeacb38b.pth"),
    "retinanet_resnet50_fpn_v2": Published("retinanet_resnet50_fpn_v2_coco-5905b1c5.pth"),
}


def normalisation_of(weights: Union[str, Path]) -> Optional[Normalisation]:
    """Returns the normalisation of weights given by name, path or URL; None if it is unknown."""
    if str(weights) in PUBLISHED:
        return PUBLISHED[str(weights)].normalisation
    file = str(weights).partition("#")[0].replace("\\", "/").rpartition("/")[2]
    for published in PUBLISHED.values():
        if file.endswith(published.file):
            return published.normalisation
    return None


def find_weights(
    spec: Union[str, Path],
    cache_dir: Optional[Union[str, Path]] = None,
    where: Optional[str] = None,
) -> Path:
    """Returns the local file of some weights, which are downloaded and checked if necessary.

    spec: a name in PUBLISHED, the path of a file, or an https URL with ``#sha256=`` and at least
        the first 32 digits of the file's sha256.
    cache_dir: the folder of downloads; by default $DETKIT_CACHE/weights, or
        ~/.cache/detkit/weights.
    where: the place that a message begins with (``configs/a.yaml:12``).

    Raises WeightsError for an unknown name, a missing file, a failed download and a file with
    another sha256, which is removed.
    """
    try:
        return _find(str(spec), Path(cache_dir) if cache_dir else cache_folder("weights"))
    except WeightsError as error:
        raise WeightsError(f"{where}: {error}" if where else str(error)) from error


def find_local(name: str) -> Path:
    """Returns the file of a name in PUBLISHED if it was downloaded before.

    Raises WeightsError, which says which file is expected where and how to get it.
    """
    published, folder = PUBLISHED[name], cache_folder("weights")
    if (folder / published.file).is_file():
        return _find(name, folder)
    raise WeightsError(
        f"weights {name!r}: expected the file {published.file} in {folder}, found none; download "
        f"it from {published.url} and put it there, or name the path of yours"
    )


def name_of(path: Union[str, Path]) -> Optional[str]:
    """Returns the name in PUBLISHED of a file with the name that torchvision gives it, or None."""
    file = Path(path).name
    return next((name for name, each in PUBLISHED.items() if each.file == file), None)


def _find(spec: str, cache: Path) -> Path:
    if spec in PUBLISHED:
        published = PUBLISHED[spec]
        return _cached(published.url, published.sha256, cache / published.file)
    if re.match(r"[a-zA-Z][\w+.-]+://", spec):
        url, digits = _split_url(spec)
        return _cached(url, digits, cache / _file_name(url, digits))
    path = Path(spec).expanduser()
    if path.is_file():
        return path
    raise WeightsError(_unknown(spec, path))


def _unknown(spec: str, path: Path) -> str:
    for name, published in PUBLISHED.items():
        if path.name == published.file:
            return (
                f"weights {spec!r}: expected a file, found none; write {name!r} to download it "
                f"from {published.url}"
            )
    if path.suffix or path.name != spec:
        found = "a folder" if path.is_dir() else f"no such file in {Path.cwd()}"
        return f"weights {spec!r}: expected a file, found {found}"
    return (
        f"weights {spec!r}: expected a file, a URL or a known name{did_you_mean(spec, PUBLISHED)}\n"
        f"  known: {', '.join(PUBLISHED)}; a URL is followed by #sha256=..."
    )


def _split_url(spec: str) -> Tuple[str, str]:
    url, _, fragment = spec.partition("#")
    if not re.match(r"https://\w", url, re.IGNORECASE):
        raise WeightsError(f"weights {spec!r}: expected a URL that begins with https://")
    digits = re.fullmatch(r"sha256=([0-9a-fA-F]+)", fragment)
    if not digits or not URL_DIGITS <= len(digits.group(1)) <= 64:
        raise WeightsError(
            f"weights {spec!r}: expected {url}#sha256= and at least the first {URL_DIGITS} digits "
            "of the file's sha256, which the download is checked by; sha256sum FILE prints it"
        )
    return url, digits.group(1).lower()


def _file_name(url: str, digits: str) -> str:
    """Returns the last part of a URL as a safe name that no file with another sha256 has."""
    name = re.sub(r"[^\w.-]", "_", urllib.parse.urlsplit(url).path.rpartition("/")[2])
    return name if digits[:HASH_DIGITS] in name else f"{digits[:HASH_DIGITS]}-{name}"


def _cached(url: str, digits: str, path: Path) -> Path:
    if path.exists():
        _check(_sha256(path), digits, path, str(path))
        return path
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check(download(url, part), digits, part, url)
        os.replace(part, path)
    # HTTPError and URLError are OSErrors, as are a full disk and a folder without permission.
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(
            f"{url}: cannot be downloaded ({error}). Without a connection, download it elsewhere "
            f"and put it at {path}"
        ) from error
    finally:
        if part.exists():
            part.unlink()
    return path


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error


def _check(digest: str, digits: str, path: Path, where: str) -> None:
    """Removes the file and raises WeightsError unless its digest begins with the digits."""
    if not digest.startswith(digits):
        size = path.stat().st_size
        path.unlink()
        raise WeightsError(
            f"{where}: expected a sha256 that begins with {digits}, found {digest[:16]}... of "
            f"{size} bytes: the file is damaged or another one. {path} was removed; try again"
        )
