"""The time of each part of a network in tools/benchmark.py, by hooks around the parts.

The hooks are the same in Gluon and in PyTorch. Workers under other interpreters import this module,
so it needs the standard library alone.
"""

from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple


class Stopwatch:
    """The seconds between the beginning and the end of each part.

    clock: a function without arguments. wait: a function that blocks until all results exist.
    """

    def __init__(self, clock: Callable[[], float], wait: Callable[[], None]):
        self.seconds: Dict[str, float] = {}
        self._clock, self._wait = clock, wait
        self._started: Dict[str, float] = {}

    def hooks(self, name: str) -> Tuple[Callable[..., None], Callable[..., None]]:
        """Returns two hooks, before and after a part. Several calls of the part add up."""

        def before(*_: Any) -> None:
            self._wait()
            self._started[name] = self._clock()

        def after(*_: Any) -> None:
            self._wait()
            taken = self._clock() - self._started.pop(name)
            self.seconds[name] = self.seconds.get(name, 0.0) + taken

        return before, after

    def watch(self, name: str, part: Any) -> List[Callable[[], None]]:
        """Times a Gluon block or a PyTorch module; returns functions that remove the hooks."""
        before, after = self.hooks(name)
        handles = [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
        return [getattr(handle, "remove", None) or handle.detach for handle in handles]


def time_parts(
    parts: Mapping[str, Sequence[Any]],
    run: Callable[[], Any],
    clock: Callable[[], float],
    wait: Callable[[], None] = lambda: None,
) -> Dict[str, float]:
    """Returns {name: seconds} of the parts {name: blocks} during ``run()``, and "total" of all."""
    watch = Stopwatch(clock, wait)
    undo = []
    for name, blocks in parts.items():
        for block in blocks:
            undo += watch.watch(name, block)
    before, after = watch.hooks("total")
    before()
    run()
    after()
    for remove in undo:
        remove()
    return watch.seconds


def with_rest(taken: Mapping[str, float]) -> Dict[str, float]:
    """Returns the seconds of parts that do not overlap, with the "rest" of their "total"."""
    parts = {name: seconds for name, seconds in taken.items() if name != "total"}
    return {**parts, "rest": taken["total"] - sum(parts.values()), "total": taken["total"]}
