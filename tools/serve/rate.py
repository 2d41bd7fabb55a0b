"""Compares requests a second at server.py on loopback with the library alone, on one image.

python tools/serve/rate.py exported/model.onnx photo.jpg --requests 100 --clients 2
"""

import argparse
import contextlib
import http.client
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator, List, Optional, Tuple

import uvicorn
from server import application, line_for

import detkit


def main(argv: Optional[List[str]] = None) -> None:
    """Times the library, then the server, then says what wrong requests get."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="what detkit.load takes")
    parser.add_argument("image", help="a file")
    parser.add_argument("--requests", type=int, default=50, help="default: 50")
    parser.add_argument("--clients", type=int, default=2, help="at the same time; default: 2")
    args = parser.parse_args(argv)
    detector, data = detkit.load(args.model), Path(args.image).read_bytes()
    expected = line_for(detector, data).encode()  # the first image takes longer
    start = time.perf_counter()
    for _ in range(args.requests):
        line_for(detector, data)
    print(f"library: {args.requests / (time.perf_counter() - start):.2f} images a second")
    with serving(application(detector)) as port, ThreadPoolExecutor(args.clients) as clients:
        start = time.perf_counter()
        answers = list(clients.map(lambda _: post(port, data), range(args.requests)))
        rate = args.requests / (time.perf_counter() - start)
        wrong = sum(answer != (200, expected) for answer in answers)
        print(f"server:  {rate:.2f} requests a second, {wrong} wrong answers")
        for what, sent in (("no image", b"?"), ("half of it", data[: len(data) // 2])):
            print(f"{what}: {post(port, sent)}")


@contextlib.contextmanager
def serving(app: Any) -> Iterator[int]:
    """Serves an application on loopback for the length of a ``with`` block, which gets its port."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listening:  # clients wait until it is served
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def post(port: int, data: Any, query: str = "") -> Tuple[int, bytes]:
    """Returns the status and the body of the answer to an image: bytes, or an iterable of them."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        connection.request("POST", f"/detect{query}", data)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


if __name__ == "__main__":
    main()
