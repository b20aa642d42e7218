"""The kinds of units, one per file. A new file here is a new kind: workers and service find it by its tag."""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Union

from inference_service.work.unit import ShotUnit, Unit

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)

_CLASSES = [cls for base in (Unit, ShotUnit) for cls in base.__subclasses__() if cls is not ShotUnit]
KINDS = tuple(str(cls.__struct_config__.tag) for cls in _CLASSES)

if TYPE_CHECKING:
    AnyUnit = Unit
else:
    AnyUnit = Union[tuple(_CLASSES)]  # noqa: UP007
    """The tagged union that JSON is decoded as."""
