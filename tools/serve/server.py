"""Serves a detector over HTTP: POST the bytes of an image to /detect, and get a line of JSON.

python tools/serve/server.py exported/model.onnx
curl --data-binary @photo.jpg http://127.0.0.1:8000/detect
"""

import argparse
import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response

import detkit
from detkit.data.images import decode_bytes
from detkit.errors import DetkitError
from detkit.predictions.saves.json_lines import line_of_image
from detkit.threshold import UNCHOSEN

MOST_BYTES = 20_000_000  # of a request


def application(detector: Any, most_bytes: int = MOST_BYTES) -> FastAPI:
    """Returns the application. One thread detects, so that requests wait for their turn."""
    app, one = FastAPI(title="detkit"), ThreadPoolExecutor(max_workers=1)

    @app.post("/detect")
    async def detect(request: Request, score: Optional[float] = None) -> Response:
        """Returns the detections in the image that is the request's body."""
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > most_bytes:  # the rest is not read
                raise HTTPException(413, f"expected an image of at most {most_bytes} bytes")
        loop = asyncio.get_running_loop()
        try:
            line = await loop.run_in_executor(one, line_for, detector, bytes(data), score)
        except DetkitError as error:
            raise HTTPException(400, str(error)) from error
        return Response(line, media_type="application/json")

    return app


def line_for(detector: Any, data: bytes, score: Optional[float] = None) -> str:
    """Returns the line of JSON that the C++ program prints, too."""
    least = UNCHOSEN if score is None and detector.threshold is None else score
    image = decode_bytes(data, "image", detector.max_pixels)
    return line_of_image("image", *image.shape[:2], detector.detect(image, score=least))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="what detkit.load takes: an .onnx, an export or a run")
    parser.add_argument("--port", type=int, default=8000, help="on this machine; default: 8000")
    args = parser.parse_args()
    uvicorn.run(application(detkit.load(args.model)), port=args.port)
