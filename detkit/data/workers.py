"""Work in threads whose results arrive in the order of the tasks.

Threads are used instead of processes: OpenCV and numpy release the interpreter while they work,
whereas a forked child inherits MXNet's engine without its threads and hangs.
"""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Callable, Deque, Iterable, Iterator, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

AHEAD = 2  # tasks of each thread that are begun before their results are asked for


def in_order(
    work: Callable[[Task], Result], tasks: Iterable[Task], workers: int, name: str
) -> Iterator[Result]:
    """Yields ``work(task)`` of each task, at most two per worker ahead of time.

    An error in ``work`` is raised at the place of its result. A consumer that stops early leaves no
    thread behind.

    workers: the number of threads; 0 works in the caller's thread.
    name: the first part of the names of the threads.
    """
    if workers == 0:
        yield from map(work, tasks)
        return
    remaining = iter(tasks)
    ahead: Deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix=name) as pool:
        try:
            while True:
                more = islice(remaining, AHEAD * workers - len(ahead))
                ahead.extend(pool.submit(work, task) for task in more)
                if not ahead:
                    return
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
