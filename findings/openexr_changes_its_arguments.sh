#!/bin/sh
# OpenEXR 3.5.3 (the Python package of the Academy Software Foundation): OpenEXR.File(header, channels) changes both
# dictionaries that it is given. Arrays in `channels` are replaced by OpenEXR.Channel objects, which do no arithmetic;
# `header` gains the picture's dataWindow and displayWindow, so that the same header refuses the next picture of another
# size. One would expect arguments to be left alone. Pass copies where a dictionary is used again.
#
# Output seen (OpenEXR 3.5.3, NumPy 2.4.6, Python 3.11):
#   Channel ['compression', 'dataWindow', 'displayWindow', 'type']
#   dataWindow size (6 x 4) does not match pixel array size (3 x 8)
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "OpenEXR==3.5.3" "numpy==2.4.6"
seen=$(cd "$folder" && venv/bin/python - <<'PYTHON'
import numpy
import OpenEXR

header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
channels = {"Z": numpy.ones((4, 6), numpy.float32)}
OpenEXR.File(header, channels)
print(type(channels["Z"]).__name__, sorted(header))
try:
    OpenEXR.File(header, {"Z": numpy.ones((8, 3), numpy.float32)}).write("second.exr")
except Exception as refusal:
    print(refusal)
PYTHON
)
echo "$seen"
[ "$seen" = "Channel ['compression', 'dataWindow', 'displayWindow', 'type']
dataWindow size (6 x 4) does not match pixel array size (3 x 8)" ]
