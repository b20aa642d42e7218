"""All imports from the wheel that the add-on carries: the service's client, its messages, and the geometry."""

from lookbeyond_kit import __version__ as KIT_VERSION
from lookbeyond_kit.client import (
    CARDS_FILE,
    MAX_CAMERAS,
    MAX_CUTS,
    WORLD_FILES,
    WORLD_LAYERS,
    WORLD_LIGHT,
    CameraFindings,
    Client,
    EditRequest,
    FileArrived,
    Finished,
    LinkRequest,
    MoveRequest,
    PhotoFindings,
    Preview,
    Price,
    PriceQuestion,
    Progress,
    ServiceAddress,
    ServiceError,
    ShotRequest,
    WorldRequest,
    runtime_file,
)
from lookbeyond_kit.client import find_program as find_on_path
from lookbeyond_kit.client import start_service as launch_service
from lookbeyond_kit.geometry.cameras import (
    LEVEL,
    Camera,
    CameraError,
    PathError,
    blender_intrinsics,
    heading_pitch_roll,
    opencv_to_opengl,
    placed_camera,
)
from lookbeyond_kit.geometry.coverage import Coverage, Known
from lookbeyond_kit.geometry.keyframes import in_passage, plan_shot
from lookbeyond_kit.geometry.layout import RoomLayout
from lookbeyond_kit.geometry.linked import Link
from lookbeyond_kit.geometry.opening import Opening, crossings
from lookbeyond_kit.geometry.panorama import Panorama
from lookbeyond_kit.geometry.projection import directions_to_equirectangular, equirectangular_directions
from lookbeyond_kit.geometry.spots import MOST_SHARE, sphere_share
from lookbeyond_kit.geometry.transforms import read_transforms, write_transforms
from lookbeyond_kit.geometry.warping import Relief
from lookbeyond_kit.photo.pixels import as_shown, changes_pixels, srgb_to_linear
from lookbeyond_kit.photo.tags import (
    FOV_ASSUMED_RAD,
    PhotoTags,
    fov_x_assumed,
    fov_x_of_focal,
    read_tags,
    why_no_photo,
)
