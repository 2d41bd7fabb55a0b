"""The map of the modules is that of the tree, and every module has a test."""

import pytest

from support import module_map


def test_the_map_is_true():
    assert module_map.MAP.read_text(encoding="utf-8") == module_map.module_map()


@pytest.mark.parametrize("module", list(module_map.modules()), ids=str)
def test_a_module_has_a_test(module):
    path = module_map.ROOT / "tests" / module_map.test_of(module)
    assert path.exists(), f"{path} is missing; write it, or name another one in ELSEWHERE"


def test_no_entry_is_in_vain():
    known = {module.as_posix() for module in module_map.modules()}
    known |= {f"{module.parent.as_posix()}/" for module in module_map.modules()}
    assert set(module_map.ELSEWHERE) <= known
    own = {m.as_posix() for m in module_map.modules() if _has_its_own(m)}
    assert own & set(module_map.ELSEWHERE) == set()


def _has_its_own(module):
    return (module_map.ROOT / "tests" / module.with_name(f"test_{module.name}")).exists()
