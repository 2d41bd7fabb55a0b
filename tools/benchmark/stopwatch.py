"""Times the parts of a network by hooks around them, the same way in Gluon and in PyTorch."""


class Stopwatch:
    """The seconds between the beginning and the end of each part.

    clock: a function of no arguments. wait: blocks until nothing is left to be computed.
    """

    def __init__(self, clock, wait):
        self.seconds = {}
        self._clock, self._wait, self._started = clock, wait, {}

    def hooks(self, name):
        """Two hooks, before and after, of a part; what is called several times adds up."""

        def before(*_):
            self._wait()
            self._started[name] = self._clock()

        def after(*_):
            self._wait()
            taken = self._clock() - self._started.pop(name)
            self.seconds[name] = self.seconds.get(name, 0.0) + taken

        return before, after

    def watch(self, name, part):
        """Time a Gluon block or a PyTorch module; returns what takes its hooks away again."""
        before, after = self.hooks(name)
        handles = [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
        return [getattr(handle, "remove", None) or handle.detach for handle in handles]


def time_parts(parts, run, clock, wait=lambda: None):
    """{name: seconds} of ``run()``: of its ``parts``, {name: blocks}, and "total", that of all."""
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


def with_rest(taken):
    """The seconds of parts of which none lies in another, and the "rest" of their "total"."""
    parts = {name: seconds for name, seconds in taken.items() if name != "total"}
    return {**parts, "rest": taken["total"] - sum(parts.values()), "total": taken["total"]}
