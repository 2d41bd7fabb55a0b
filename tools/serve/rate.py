"""Compares requests a second at server.py on loopback with the library alone, on one image.

python tools/serve/rate.py exported/model.onnx photo.jpg --requests 100 --clients 2
"""

import argparse
import http.client
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, Optional, Tuple

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
    server = uvicorn.Server(uvicorn.Config(application(detector), log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        port = listening.getsockname()[1]
        start = time.perf_counter()
        with ThreadPoolExecutor(args.clients) as clients:
            answers = list(clients.map(lambda _: post(port, data), range(args.requests)))
        taken = time.perf_counter() - start
        wrong = [answer for answer in answers if answer != (200, expected)]
        print(f"server:  {args.requests / taken:.2f} requests a second, {len(wrong)} wrong answers")
        for what, sent in (("no image", b"?"), ("half of it", data[: len(data) // 2])):
            print(f"{what}: {post(port, sent)}")
        server.should_exit = True
        thread.join()


def post(port: int, data: bytes) -> Tuple[int, bytes]:
    """Returns the status and the body of the answer to an image."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        connection.request("POST", "/detect", data)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


if __name__ == "__main__":
    main()
