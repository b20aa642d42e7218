"""What may be imported where copies go: the parts that the Blender extension carries ask for almost nothing.

(The directions between the packages are import-linter's, in pyproject.toml: it knows what is forbidden, not
what alone is allowed.)
"""

import sys

import grimp
import pytest


@pytest.mark.parametrize(
    ("package", "part", "allowed"),
    [
        ("lookbeyond", "lookbeyond.geometry", {"numpy"}),
        ("inference_service", "inference_service.wire", {"zmq"}),
    ],
)
def test_what_the_extension_carries_stands_alone(package: str, part: str, allowed: set[str]):
    graph = grimp.build_graph(package, include_external_packages=True, cache_dir=None)
    modules = {part} | graph.find_descendants(part)
    imported = set().union(*(graph.find_modules_directly_imported_by(module) for module in modules))
    assert imported - modules - set(sys.stdlib_module_names) <= allowed
