"""The tool's end of a worker of tools/benchmark.py and tools/benchmark_throughput.py.

The processes stay alive during a comparison. All but those of one side are idle at any time.
"""

import json
import os
import select
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Collection, Iterable, Iterator, List, Mapping, Optional, Sequence

from ..errors import BenchmarkError
from ..worker_environment import worker_environment
from .progress import progress
from .sides import FILES, FOLDER, ONNX, ONNX_PEERS, left_out

# OpenMP's threads spin for a while after their work before they sleep. The next side must not be
# timed beside them.
PAUSE = 0.1


class WorkerProcess:
    """A process that answers requests. Leaving it as a context ends the process.

    name: for messages. script: the worker's file. python: the interpreter. threads: OpenMP's.
    variables: further ones of the environment. cpus: the CPUs that the process may use, by default
    all of the tool.
    """

    def __init__(
        self,
        name: str,
        script: Path,
        python: Optional[str] = None,
        threads: int = 1,
        variables: Optional[Mapping[str, str]] = None,
        cpus: Optional[Collection[int]] = None,
    ):
        self.name = name
        command = [python or sys.executable, str(script)]
        try:
            with _limited_to(cpus):
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env={**worker_environment(threads), **(variables or {})},
                    text=True,
                    encoding="utf-8",
                )
        except OSError as error:
            raise BenchmarkError(
                f"{name}: the interpreter {command[0]!r} cannot be started: {error.strerror}; "
                f"name another by --peer {name.split()[0]}=PATH"
            ) from error

    def ask(self, do: str, **arguments: Any) -> Any:
        """Returns the process's answer. Raises BenchmarkError if the request or the process fails.

        do: a method of worker.Answers. arguments: the arguments of the method.
        """
        (answer,) = ask_all([self], do, **arguments)
        return answer

    def send(self, do: str, arguments: Mapping[str, Any]) -> None:
        """Sends a request, of which ``receive`` returns the answer."""
        requests = self._process.stdin
        assert requests is not None  # a pipe
        with suppress(BrokenPipeError):  # receive says how the process ended
            requests.write(json.dumps({"do": do, **arguments}) + "\n")
            requests.flush()

    def receive(self, do: str) -> Any:
        """Returns the answer to a request. Raises BenchmarkError like ``ask``."""
        answers = self._process.stdout
        assert answers is not None  # a pipe
        progress.wait(
            lambda seconds: bool(select.select([answers], [], [], seconds)[0]),
            f"{self.name} ({do})",
        )
        line = answers.readline()
        if not line:
            status = self._process.wait()
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            raise BenchmarkError(
                f"{self.name}: its process ended with {how} at the request {do!r}; its own message "
                "is above"
            )
        answer = json.loads(line)
        if "error" in answer:
            raise BenchmarkError(f"{self.name}: {do} failed:\n{answer['error'].rstrip()}")
        return answer["done"]

    def __enter__(self) -> "WorkerProcess":
        return self

    def __exit__(self, *_: Any) -> None:
        # A request that a dead process did not read is still in the pipe's buffer.
        with suppress(BrokenPipeError), self._process:  # closes the pipes and waits
            self._process.kill()  # the memory that it holds is not worth the time to free it


def ask_all(workers: Sequence[WorkerProcess], do: str, **arguments: Any) -> List[Any]:
    """Returns the answers of several processes that do one request at the same time."""
    time.sleep(PAUSE)
    for worker in workers:
        worker.send(do, arguments)
    return [worker.receive(do) for worker in workers]


@contextmanager
def _limited_to(cpus: Optional[Collection[int]]) -> Iterator[None]:
    """Limits this thread, and the processes that it starts, to some CPUs."""
    if cpus is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def write_files(
    detector: str, folder: Path, forms: Iterable[str] = (), peers: Iterable[str] = ()
) -> None:
    """Writes the random weights, and the files that some of FORMS and PEERS load."""
    state = folder / "state.npz"
    write_file("state", detector, state)
    for kind in sorted({FILES[form] for form in forms if form in FILES}):
        write_file(kind, detector, state, folder / kind)
    onnx_peers = [peer for peer in ONNX_PEERS if peer in peers]
    if any(f"{peer} fp32" not in left_out((), [peer]) for peer in onnx_peers):
        write_file("onnx", detector, state, folder / ONNX)


def write_file(kind: str, detector: str, *paths: Path) -> None:
    """Lets detkit's worker write a file in a process of its own, whose memory ends with it.

    kind and paths: see worker_detkit.py. Raises BenchmarkError if the process fails.
    """
    progress.say(f"{detector}: writing {kind}")
    command = [sys.executable, FOLDER / "worker_detkit.py", kind, detector, *paths]
    with subprocess.Popen(list(map(str, command)), env=worker_environment()) as process:
        progress.wait(lambda seconds: _has_ended(process, seconds), f"{kind} of {detector}")
    if process.returncode:
        raise BenchmarkError(f"{detector}: writing {kind} failed; its own message is above")


def _has_ended(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
