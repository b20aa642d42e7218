"""A client's messages, decoded by msgspec: faster and stricter than the client's own decoder."""

import msgspec

from inference_service.wire.codec import check_magic
from inference_service.wire.errors import ProtocolError
from inference_service.wire.messages import MESSAGES


def decode_strictly(frames: list[bytes]) -> tuple[object, int, bytes]:
    """A client's message, its id and payload. Raises ProtocolError for anything else, and nothing else."""
    check_magic(frames)
    try:
        header = msgspec.json.decode(frames[1])
        cls = MESSAGES[header["type"]]
        id = msgspec.convert(header.get("id", 0), int)
        message = msgspec.convert(header, cls)
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ProtocolError("protocol", "A header could not be understood.") from error
    if not 0 <= id < 2**53:
        raise ProtocolError("protocol", "An id is out of range.")
    return message, id, frames[2] if len(frames) == 3 else b""
