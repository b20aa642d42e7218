"""The bench. Its libraries come with `pip install lookbeyond[evaluate]`; nothing else needs them."""

from importlib.util import find_spec

from lookbeyond.errors import InputError

for _library in ("skimage", "matplotlib"):
    if find_spec(_library) is None:
        raise InputError(f"the bench needs {_library}: pip install 'lookbeyond[evaluate]'")
