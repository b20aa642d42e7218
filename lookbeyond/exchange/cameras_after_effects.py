"""A camera move as a script for After Effects: run by File > Scripts, it creates a composition with the camera.

After Effects counts in pixels, x to the right, y down, z away, from the composition's upper left corner; its camera has
a zoom (the focal length in pixels), and an orientation that turns about Z first, then Y, then X.
"""

import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookbeyond.whole import whole_file

from .camera_move import Z_UP_TO_Y_DOWN, CameraMove

PIXELS_PER_METRE = 100.0

_SCRIPT = """// A camera move, from Look Beyond. Run it in After Effects: File > Scripts > Run Script File.
(function () {
    var name = %(name)s, width = %(width)d, height = %(height)d, fps = %(fps)s, first = %(first)d;
    var positions = %(positions)s;
    var orientations = %(orientations)s;
    var zooms = %(zooms)s;
    var times = [];
    for (var i = 0; i < positions.length; i++) { times.push(i / fps); }
    app.beginUndoGroup("Look Beyond camera");
    var composition = app.project.items.addComp(name, width, height, 1, Math.max(1, positions.length) / fps, fps);
    composition.displayStartTime = first / fps;
    var camera = composition.layers.addCamera(name, [width / 2, height / 2]);
    camera.autoOrient = AutoOrientType.NO_AUTO_ORIENT;
    camera.property("ADBE Transform Group").property("ADBE Position").setValuesAtTimes(times, positions);
    camera.property("ADBE Transform Group").property("ADBE Orientation").setValuesAtTimes(times, orientations);
    camera.property("ADBE Camera Options Group").property("ADBE Camera Zoom").setValuesAtTimes(times, zooms);
    app.endUndoGroup();
})();
"""


def write_after_effects(path: Path, move: CameraMove) -> None:
    """Write a .jsx."""
    positions, orientations, zooms = [], [], []
    for camera in move.cameras:
        x, y, z = Z_UP_TO_Y_DOWN @ camera.position * PIXELS_PER_METRE
        positions.append([x + move.width / 2, y + move.height / 2, z])
        orientations.append((_degrees(Z_UP_TO_Y_DOWN @ camera.rotation) % 360).tolist())
        zooms.append(float(camera.intrinsics[0, 0]))
    values = {
        "name": json.dumps(Path(path).stem),
        "width": move.width,
        "height": move.height,
        "fps": json.dumps(move.fps),
        "first": move.first_frame,
        "positions": json.dumps(np.round(positions, 6).tolist()),
        "orientations": json.dumps(np.round(orientations, 6).tolist()),
        "zooms": json.dumps(np.round(zooms, 6).tolist()),
    }
    with whole_file(path) as temporary:
        temporary.write_text(_SCRIPT % values, encoding="utf-8")


def _degrees(rotation: NDArray) -> NDArray[np.float64]:
    """Angles about x, y, z with rotation = X(x) Y(y) Z(z)."""
    sine = rotation[0, 2]
    if abs(sine) > 1 - 1e-12:
        upright = math.copysign(1, sine)
        return np.degrees([math.atan2(upright * rotation[1, 0], rotation[1, 1]), upright * math.pi / 2, 0.0])
    x = math.atan2(-rotation[1, 2], rotation[2, 2])
    return np.degrees([x, math.asin(sine), math.atan2(-rotation[0, 1], rotation[0, 0])])
