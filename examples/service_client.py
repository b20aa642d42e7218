"""A client of the service: a photo is uploaded, a world is built, its files arrive.

    lookbeyond serve                                      # in another terminal
    python examples/service_client.py photo.jpg out

The client needs the standard library and pyzmq only; the camera could as well be a dictionary from another program.
"""

import math
import sys
from pathlib import Path

from inference_service.client import Client, FileArrived, Finished, Progress, WorldRequest
from lookbeyond.geometry.cameras import placed_camera


def main(photo: Path, out: Path, width: int = 2048) -> None:
    camera = placed_camera(1024, 768, math.radians(65))  # of the photo's shape; its size is not compared
    with Client() as client:  # finds the service of this machine
        request = WorldRequest(photo=client.upload(photo), camera=camera.to_dict(), width=width)
        job = client.submit(request)
        for event in client.follow(job, out):  # raises ServiceError if the job fails
            match event:
                case Progress():
                    print(f"{event.fraction:4.0%} {event.message}")
                case FileArrived():
                    print(event.path)
                case Finished():
                    print("done")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
