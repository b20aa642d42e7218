"""The client of the service, for scripts and for the Blender add-on (which carries this file and `wire/`).

Standard library and pyzmq only.
"""

from .wire.address import ServiceAddress, find_service, runtime_file
from .wire.client import Client
from .wire.errors import ServiceError
from .wire.events import Event, FileArrived, Finished, Preview, Progress
from .wire.launch import find_program, start_service
from .wire.messages import (
    ALL,
    Aligned,
    Angle,
    CameraFindings,
    JobStatus,
    PhotoFindings,
    Price,
    PriceQuestion,
    ServiceStatus,
)
from .wire.requests import (
    CARDS_FILE,
    MAX_CAMERAS,
    MAX_CUTS,
    WORLD_FILES,
    WORLD_LAYERS,
    WORLD_LIGHT,
    EditRequest,
    LinkRequest,
    MoveRequest,
    ShotRequest,
    WorldRequest,
)
