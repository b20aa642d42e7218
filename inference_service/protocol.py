"""The old names of `wire`, until the service's own modules have moved."""

from inference_service.wire.address import *  # noqa: F403
from inference_service.wire.address import ServiceAddress, runtime_file, runtime_folder  # noqa: F401
from inference_service.wire.codec import *  # noqa: F403
from inference_service.wire.errors import ProtocolError  # noqa: F401
from inference_service.wire.files import *  # noqa: F403
from inference_service.wire.messages import *  # noqa: F403
from inference_service.wire.messages import MESSAGES, TYPE_NAMES  # noqa: F401
from inference_service.wire.messages import Acknowledged as Done  # noqa: F401
from inference_service.wire.messages import ChangeHint as Ready  # noqa: F401
from inference_service.wire.messages import Faces as Seen  # noqa: F401
from inference_service.wire.messages import FindFaces as Look  # noqa: F401
from inference_service.wire.messages import PreviewHint as Preview  # noqa: F401
from inference_service.wire.messages import ProgressHint as Progress  # noqa: F401
from inference_service.wire.messages import ReportDamage as Doubt  # noqa: F401
from inference_service.wire.requests import *  # noqa: F403
