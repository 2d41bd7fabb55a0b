"""Downloads a file by https, within limits, and hashes it on the way."""

import hashlib
import http.client
import urllib.request
from pathlib import Path
from typing import IO, Optional

from tqdm import tqdm

from detkit.errors import WeightsError
from detkit.files.disk import CHUNK

TIMEOUT = 30  # seconds without an answer
MOST_BYTES = 2 << 30  # the largest published detector has 0.5 GB


class _HttpsAlone(urllib.request.HTTPRedirectHandler):
    """A handler that follows a redirect to https, and refuses one to anything else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> Optional[urllib.request.Request]:
        """Returns the request to follow."""
        if not newurl.lower().startswith("https://"):
            raise WeightsError(
                f"{req.full_url}: expected a file or a redirect to https, found a redirect to "
                f"{newurl!r}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str, path: Path) -> str:
    """Downloads a URL to ``path`` and returns its sha256.

    Raises WeightsError for a file that is too large and for a redirect to anything but https;
    OSError and http.client.HTTPException if the connection fails.
    """
    sha256 = hashlib.sha256()
    opener = urllib.request.build_opener(_HttpsAlone)
    with opener.open(url, timeout=TIMEOUT) as answer, path.open("wb") as file:
        stated = answer.headers.get("Content-Length") or ""
        length = int(stated) if stated.isdecimal() else None
        _check_length(url, length or 0)
        done = 0
        # disable=None: a bar is shown only in a terminal.
        with tqdm(total=length, unit="B", unit_scale=True, desc=path.stem, disable=None) as bar:
            for chunk in iter(lambda: answer.read(CHUNK), b""):
                done += len(chunk)
                _check_length(url, done)
                file.write(chunk)
                sha256.update(chunk)
                bar.update(len(chunk))
    return sha256.hexdigest()


def _check_length(url: str, length: int) -> None:
    if length > MOST_BYTES:
        raise WeightsError(
            f"{url}: expected at most {MOST_BYTES} bytes, found {length} or more; if the file is "
            "right, download it by hand and name its path"
        )
