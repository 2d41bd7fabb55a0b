"""Runs a pickle's opcodes within limits, and calls only the functions that it is given.

Python's own unpickler is written in C, hashes whatever a pickle uses as a key, and cannot be
interrupted. A pickle of 88 bytes keeps it busy for ever: 40 tuples, each twice in the next one, are
a key of 2^40 elements. This machine knows the opcodes that describe plain containers, takes only
text and numbers as keys, and counts its operations.
"""

import pickle
import pickletools
from typing import Any, BinaryIO, Callable, Dict, List, NamedTuple

from detkit.errors import WeightsError

PICKLE_LIMIT = 16 << 20  # bytes without the arrays; a large detector needs some 100 kilobytes
ARRAY = 1 << 12  # bytes; a longer string counts as the bytes of an array
# The pickle of a detector of 1000 tensors with an optimizer's state has about 150,000 operations.
OPERATIONS = 500_000
LARGEST = 2**256  # far above every count; larger ones take long to multiply and to print
MOST_AXES = 100  # more than numpy and torch allow
KEYS = (str, int, float, bool, bytes, type(None))


class Rebuild(NamedTuple):
    """The stand-in for a function of the pickle; it is a tuple, which the pickle cannot alter."""

    function: Callable[..., Any]

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


class _Bounded:
    """The readable part of a stream; Python's files allocate what is asked for before they read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, start = stream, stream.tell()
        self._end = stream.seek(0, 2)
        stream.seek(start)
        self.tell, self.readline = stream.tell, stream.readline

    def read(self, count: int) -> bytes:
        return self._stream.read(min(count, self._end - self._stream.tell()))


def checked_key(key: Any) -> Any:
    """Returns a key of a dict or an element of a set. Raises WeightsError for a nested one."""
    parts = key if isinstance(key, tuple) else (key,)
    if not all(type(part) in KEYS for part in parts):
        raise WeightsError(
            f"expected keys that are text or numbers, found {type(key).__name__}; a nested key is "
            "refused, because a few bytes can describe one that takes years to hash"
        )
    return key


class Machine:
    """A stack, a memo and the opcodes of plain containers.

    find: {(module, name) of the pickle -> its stand-in}, as a function.
    load: a function from a persistent id to its stand-in.
    encoding: the encoding of Python 2's strings.
    """

    def __init__(
        self, find: Callable[[str, str], Any], load: Callable[[Any], Any], encoding: str
    ) -> None:
        self._find, self._load, self._encoding = find, load, encoding
        self._stack: List[Any] = []
        self._marks: List[int] = []
        self._memo: Dict[int, Any] = {}
        self._operations = 0

    def run(self, stream: BinaryIO) -> Any:
        """Returns the content of the pickle that begins here, and leaves the stream at its end.

        Raises WeightsError for a pickle that is too large, and any other exception for damaged
        ones.
        """
        start = stream.tell()
        arrays = 0  # bytes
        bounded: Any = _Bounded(stream)
        for opcode, argument, position in pickletools.genops(bounded):
            begin = (position or start) - start
            end = stream.tell() - start
            self._spend(1)
            if begin - arrays > PICKLE_LIMIT:
                raise WeightsError(
                    f"expected a pickle of at most {PICKLE_LIMIT >> 20} MiB without its arrays, "
                    "found a larger one"
                )
            if end - begin > ARRAY:
                arrays += end - begin
            # The pickler numbers the entries of the memo one after the other.
            if "PUT" in opcode.name and isinstance(argument, int) and argument > begin:
                raise WeightsError(
                    f"damaged pickle: expected memo indices up to {begin}, found {argument}"
                )
            if opcode.name == "STOP":
                return self._pop()
            self._execute(opcode.name, argument)
        raise ValueError("it has no end")

    def _execute(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name](argument))
        elif name in _BY_NAME:
            _BY_NAME[name](self, argument)
        else:
            raise WeightsError(
                f"expected a pickle of plain containers, found the opcode {name}, which makes or "
                "changes other objects; it is refused, because a pickle can run programs"
            )

    def _spend(self, count: int) -> None:
        self._operations += count
        if self._operations > OPERATIONS:
            raise WeightsError(
                f"expected a pickle of at most {OPERATIONS} operations, found one of more; save "
                "the arrays alone"
            )

    def _pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise ValueError("it takes more from the stack than there is")
        return self._stack.pop()

    def _top(self, *kinds: type) -> Any:
        top = self._stack[-1]
        if kinds and not isinstance(top, kinds):
            raise ValueError(f"it adds an element to {type(top).__name__}")
        return top

    def _popped(self, count: int) -> List[Any]:
        return [self._pop() for _ in range(count)][::-1]

    def _to_mark(self) -> List[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def _drop(self, _: Any) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._pop()

    def _text(self, argument: str) -> None:
        # pickletools reads Python 2's strings as latin1.
        self._stack.append(argument.encode("latin1").decode(self._encoding))

    def _put(self, index: int) -> None:
        self._memo[index] = self._top()

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._top()

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _append(self, items: List[Any]) -> None:
        self._top(list).extend(items)

    def _add(self, items: List[Any]) -> None:
        self._top(set).update(map(checked_key, items))

    def _set_items(self, items: List[Any]) -> None:
        if len(items) % 2:
            raise ValueError("it has a key without a value")
        self._top(dict).update(_pairs(items))

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(self._find(module, name))

    def _stack_global(self, _: Any) -> None:
        module, name = self._popped(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("it has a global without a name")
        self._stack.append(self._find(module, name))

    def _instance(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._find(module, name)
        raise ValueError("it makes an instance of a class of Python 2")

    def _reduce(self, _: Any) -> None:
        function, arguments = self._popped(2)
        if not isinstance(function, Rebuild) or not isinstance(arguments, tuple):
            raise ValueError(f"it calls {type(function).__name__}")
        # A stand-in may copy its arguments.
        self._spend(sum(len(each) for each in arguments if isinstance(each, (list, tuple, dict))))
        self._stack.append(function(*arguments))

    def _build(self, _: Any) -> None:
        state, made = self._pop(), self._top()
        if not hasattr(type(made), "__setstate__"):
            raise ValueError(f"it changes {type(made).__name__}")
        made.__setstate__(state)


def _pairs(items: List[Any]) -> Dict[Any, Any]:
    return {checked_key(key): value for key, value in zip(items[::2], items[1::2])}


def _check_protocol(machine: Machine, number: int) -> None:
    if number > pickle.HIGHEST_PROTOCOL:
        raise ValueError(f"unsupported protocol {number}")


def _same(argument: Any) -> Any:
    return argument


def _number(argument: int) -> int:
    if abs(argument) >= LARGEST:
        raise WeightsError(
            "expected integers of at most 256 bits in the pickle, found a larger one"
        )
    return argument


# {opcode: argument -> the value that is pushed}
_CONSTANTS: Dict[str, Callable[[Any], Any]] = {
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_DICT": lambda _: {},
    "EMPTY_SET": lambda _: set(),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _number),
    **dict.fromkeys(("FLOAT", "BINFLOAT", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), _same),
    **dict.fromkeys(("BYTEARRAY8", "UNICODE", "BINUNICODE", "BINUNICODE8"), _same),
    "SHORT_BINUNICODE": _same,
}
# {opcode: a function of the machine and the argument}
_BY_NAME: Dict[str, Callable[[Machine, Any], None]] = {
    "PROTO": _check_protocol,
    "FRAME": lambda machine, _: None,
    "MARK": Machine._mark,
    "POP": Machine._drop,
    "POP_MARK": lambda machine, _: None if machine._to_mark() else None,
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), Machine._text),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), Machine._put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Machine._get),
    "MEMOIZE": Machine._memoize,
    "LIST": lambda machine, _: machine._stack.append(machine._to_mark()),
    "TUPLE": lambda machine, _: machine._stack.append(tuple(machine._to_mark())),
    "TUPLE1": lambda machine, _: machine._stack.append(tuple(machine._popped(1))),
    "TUPLE2": lambda machine, _: machine._stack.append(tuple(machine._popped(2))),
    "TUPLE3": lambda machine, _: machine._stack.append(tuple(machine._popped(3))),
    "DICT": lambda machine, _: machine._stack.append(_pairs(machine._to_mark())),
    "FROZENSET": lambda machine, _: machine._stack.append(
        frozenset(map(checked_key, machine._to_mark()))
    ),
    "APPEND": lambda machine, _: machine._append(machine._popped(1)),
    "APPENDS": lambda machine, _: machine._append(machine._to_mark()),
    "ADDITEMS": lambda machine, _: machine._add(machine._to_mark()),
    "SETITEM": lambda machine, _: machine._set_items(machine._popped(2)),
    "SETITEMS": lambda machine, _: machine._set_items(machine._to_mark()),
    "GLOBAL": Machine._global,
    "STACK_GLOBAL": Machine._stack_global,
    "INST": Machine._instance,
    "REDUCE": Machine._reduce,
    "BUILD": Machine._build,
    "PERSID": lambda machine, pid: machine._stack.append(machine._load(pid)),
    "BINPERSID": lambda machine, _: machine._stack.append(machine._load(machine._pop())),
}
