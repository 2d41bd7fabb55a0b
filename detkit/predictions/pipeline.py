"""Three stages at once: frames are read ahead of the network, and files are written behind it."""

import threading
import time
from collections import deque
from typing import Any, Callable, Deque, Generic, Iterable, Iterator, NamedTuple, Optional, TypeVar

Read = TypeVar("Read")
Done = TypeVar("Done")
Item = TypeVar("Item")

DEPTH = 4  # items that wait before a stage
PATIENCE = 1.0  # seconds that the end waits for a read that nothing can interrupt


class Rate(NamedTuple):
    """The time that a run of the pipeline took, and the items that it passed on.

    items: the number of items that went through all stages.
    seconds: the time from the start to the end.
    waited_for_reading, waited_for_writing: the seconds in which the stage between had nothing to
        do, because no item was read yet, or because too many were not written yet.
    dropped: the items of a live source that were read and left out.
    """

    items: int
    seconds: float
    waited_for_reading: float
    waited_for_writing: float
    dropped: int


class Stopped(Exception):
    """Ends the thread that puts items into a queue from which nobody takes any more."""


class Queue(Generic[Item]):
    """A bounded queue between two threads, either of which may end with an error.

    depth: the largest number of items.
    """

    def __init__(self, depth: int) -> None:
        self.waited_to_put, self.waited_to_take, self.dropped = 0.0, 0.0, 0
        self._items: Deque[Item] = deque()
        self._depth = depth
        self._changed = threading.Condition()
        self._is_closed = False
        self._error: Optional[BaseException] = None

    def put(self, item: Item, is_live: bool = False) -> None:
        """Adds an item. A full queue is waited for, or loses its oldest item if ``is_live``.

        Raises the error with which the other thread stopped, or Stopped.
        """
        with self._changed:
            start = time.perf_counter()
            while len(self._items) >= self._depth and not self._is_closed:
                if is_live:
                    self._items.popleft()
                    self.dropped += 1
                else:
                    self._changed.wait()
            self.waited_to_put += time.perf_counter() - start
            if self._is_closed:
                raise self._error or Stopped
            self._items.append(item)
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        """Yields the items until the queue is closed. Raises the error with which it was closed."""
        while True:
            with self._changed:
                start = time.perf_counter()
                while not self._items and not self._is_closed:
                    self._changed.wait()
                self.waited_to_take += time.perf_counter() - start
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

    def close(self, error: Optional[BaseException] = None) -> None:
        """Ends the queue after the items that it holds, with an error if there is one."""
        with self._changed:
            self._is_closed, self._error = True, self._error or error
            self._changed.notify_all()

    def stop(self, error: Optional[BaseException] = None) -> None:
        """Ends the queue at once, without the items that it holds."""
        with self._changed:
            self._items.clear()
        self.close(error)


class Pipeline(Generic[Read, Done]):
    """Reads in one thread, works in the caller's, writes in a third, each item in its turn.

    read: the items. It is closed, if it is a generator, also after an error.
    work: turns an item into a result, in the thread of the caller.
    write: takes each result.
    is_live: whether an item comes from a source that does not wait. If the queue is full, the
        oldest item in it is then left out.
    depth: the number of items that wait before ``work``, and of results that wait before ``write``.

    At most 2 * depth + 3 items exist at a time.
    """

    def __init__(
        self,
        read: Iterable[Read],
        work: Callable[[Read], Done],
        write: Callable[[Done], None],
        is_live: Callable[[Read], bool] = lambda item: False,
        depth: int = DEPTH,
    ) -> None:
        self._read, self._work, self._write, self._is_live = read, work, write, is_live
        self._ahead: Queue[Read] = Queue(depth)
        self._behind: Queue[Done] = Queue(depth)
        self._written = 0

    def run(self) -> Rate:
        """Passes all items on and returns what that took.

        Raises the error of any stage, after the items before it were written, and
        KeyboardInterrupt at once.
        """
        start = time.perf_counter()
        reader = threading.Thread(target=self._fill, name="read", daemon=True)
        writer = threading.Thread(target=self._drain, name="write", daemon=True)
        reader.start()
        writer.start()
        try:
            for item in self._ahead:
                self._behind.put(self._work(item))
            before = time.perf_counter()
            self._behind.close()
            writer.join()
        except KeyboardInterrupt:
            self._behind.stop()
            raise
        finally:
            self._ahead.stop()
            self._behind.close()
            writer.join()
            end = time.perf_counter()
            reader.join(PATIENCE)
        for _ in self._behind:  # raises the error of the last writes
            pass
        return Rate(
            self._written,
            end - start,
            self._ahead.waited_to_take,
            self._behind.waited_to_put + end - before,
            self._ahead.dropped,
        )

    def _fill(self) -> None:
        try:
            for item in self._read:
                self._ahead.put(item, self._is_live(item))
        except Stopped:  # the other thread ended the queue, and nobody needs more items
            pass
        except BaseException as error:
            self._ahead.close(error)
        else:
            self._ahead.close()
        finally:
            _close(self._read)

    def _drain(self) -> None:
        try:
            for result in self._behind:
                self._write(result)
                self._written += 1
        except BaseException as error:
            self._behind.stop(error)


def _close(items: Any) -> None:
    """Closes a generator, so that what it holds open is closed in its own thread."""
    if hasattr(items, "close"):
        items.close()
