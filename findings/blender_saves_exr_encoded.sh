#!/bin/sh
# Blender 5.0.1 as a module: a float image made by bpy.data.images.new() has the colour space "Linear Rec.709". The first
# Image.save() to OpenEXR turns that into "sRGB", also where it was set by hand, and writes the linear pixels encoded with
# that curve: 0.5 stands in the file as 0.735. The file says so in `colorInteropID` (srgb_rec709_display), which Blender
# heeds when it loads it; a reader that takes an EXR for linear, as is usual, gets a picture that is too bright. One would
# expect a linear image to stay linear in a format made for that. With the colour space "Non-Color" it does, and so does
# an image that was loaded from an EXR. (4.2.23, 4.5.15, 5.2.3 and 5.3.0 write 0.735, too.)
#
# Output seen (bpy 5.0.1, OpenEXR 3.5.3, Python 3.11):
#   Linear Rec.709, sRGB once saved: 0.735 in the file, sRGB 0.5 loaded again
#   Non-Color, Non-Color once saved: 0.5 in the file, Non-Color 0.5 loaded again
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "bpy==5.0.1" "OpenEXR==3.5.3"
"$folder/venv/bin/python" - "$folder" <<'PYTHON' > "$folder/blender.txt"
import sys
from pathlib import Path

import bpy
import numpy as np

folder = Path(sys.argv[1])
for space in ("Linear Rec.709", "Non-Color"):
    image = bpy.data.images.new(space, 4, 4, float_buffer=True)
    image.colorspace_settings.name = space
    image.pixels.foreach_set(np.full(4 * 4 * 4, 0.5, np.float32))
    image.file_format, image.filepath_raw = "OPEN_EXR", str(folder / f"{space}.exr")
    image.save()
    again = bpy.data.images.load(str(folder / f"{space}.exr"))
    print(f"{space}|{image.colorspace_settings.name}|{again.colorspace_settings.name} {again.pixels[0]:.3g}")
PYTHON
seen=$("$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import OpenEXR

folder = Path(sys.argv[1])
for line in (folder / "blender.txt").read_text().splitlines():
    if "|" in line:
        space, after, loaded = line.split("|")
        with OpenEXR.File(str(folder / f"{space}.exr")) as file:
            value = float(next(iter(file.channels().values())).pixels.ravel()[0])
        print(f"{space}, {after} once saved: {value:.3g} in the file, {loaded} loaded again")
PYTHON
)
echo "$seen"
[ "$seen" = "Linear Rec.709, sRGB once saved: 0.735 in the file, sRGB 0.5 loaded again
Non-Color, Non-Color once saved: 0.5 in the file, Non-Color 0.5 loaded again" ]
