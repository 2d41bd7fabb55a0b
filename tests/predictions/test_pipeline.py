"""The three stages: order, bounds, errors of each stage, and an interrupt."""

import threading
import time

import pytest

from detkit.predictions import Pipeline


class Counting:
    """Counts the items that are read and not written yet."""

    def __init__(self, count, pause=0.0):
        self.count, self.pause = count, pause
        self.alive, self.most, self.closed = 0, 0, False
        self.written = []
        self.lock = threading.Lock()

    def read(self):
        try:
            for number in range(self.count):
                with self.lock:
                    self.alive += 1
                    self.most = max(self.most, self.alive)
                yield number
        finally:
            self.closed = True

    def write(self, result):
        time.sleep(self.pause)
        self.written.append(result)
        with self.lock:
            self.alive -= 1


@pytest.mark.parametrize("pause", [0, 0.001])
def test_all_items_in_order_and_few_at_a_time(pause):
    items = Counting(300, pause)
    rate = Pipeline(items.read(), lambda number: -number, items.write, depth=3).run()
    assert items.written == [-number for number in range(300)]
    assert rate.items == 300 and rate.dropped == 0 and rate.seconds > 0
    assert items.most <= 2 * 3 + 3
    assert items.closed
    if pause:
        assert rate.waited_for_writing > 0.5 * rate.seconds


def test_stages_run_at_once():
    """Three stages of 10 ms each take about 10 ms an item, and not 30."""

    def slowly(values):
        for value in values:
            time.sleep(0.01)
            yield value

    start = time.perf_counter()
    written = []

    def write(value):
        time.sleep(0.01)
        written.append(value)

    Pipeline(slowly(range(30)), lambda value: time.sleep(0.01) or value, write).run()
    assert written == list(range(30))
    assert time.perf_counter() - start < 0.8  # 0.9 in turn, 0.32 at best


def failing(where):
    """A function of items that fails at the fifth."""

    def call(value):
        if value == 5:
            raise ValueError(where)
        return value

    return call


@pytest.mark.parametrize("where", ["read", "work", "write"])
def test_an_error_of_any_stage_comes_out_after_the_items_before_it(where):
    items = Counting(100)
    kept = failing(where)

    def write(value):
        items.write(kept(value) if where == "write" else value)

    read = map(kept, items.read()) if where == "read" else items.read()
    with pytest.raises(ValueError, match=where):
        Pipeline(read, kept if where == "work" else lambda value: value, write).run()
    assert items.written == [0, 1, 2, 3, 4]
    assert where == "read" or items.closed


def test_an_error_of_the_last_write():
    with pytest.raises(ValueError, match="write"):
        Pipeline([5], lambda value: value, failing("write")).run()


def test_an_interrupt_ends_at_once():
    items = Counting(10**6)

    def work(value):
        if value == 7:
            raise KeyboardInterrupt
        return value

    with pytest.raises(KeyboardInterrupt):
        Pipeline(items.read(), work, items.write).run()
    assert items.written == list(range(len(items.written)))
    assert items.closed and len(items.written) <= 7


def test_a_source_that_nothing_interrupts_is_not_waited_for():
    forever = threading.Event()

    def read():
        yield 1
        forever.wait()

    def interrupted(value):
        raise KeyboardInterrupt

    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        Pipeline(read(), interrupted, print).run()
    assert time.perf_counter() - start < 3
    forever.set()


def test_a_live_source_loses_its_oldest_frames():
    """The source is never held up, and what comes after a pause is the newest."""
    written, gate = [], threading.Event()

    def read():
        yield from range(50)
        gate.set()

    def work(value):
        gate.wait()
        return value

    rate = Pipeline(read(), work, written.append, is_live=lambda item: True, depth=4).run()
    assert written[-4:] == [46, 47, 48, 49]
    assert len(written) + rate.dropped == 50 and rate.dropped >= 40
