#!/bin/sh
# OpenCV 5.0.0 (opencv-python-headless 5.0.0.93): imread() gives None for every TIFF
# whose orientation tag swaps width and height (5 to 8), whatever the flags; 1 to 4 are read. It reports an internal
# check ("original_ptr == real_mat.data"). One would expect the turned picture, as it does for JPEG, or with
# IMREAD_UNCHANGED the pixels as stored. Scans and camera TIFFs held upright are such files.
#
# Output seen (OpenCV 5.0.0, Pillow 13.0.0, Linux x86_64, Python 3.11):
#   1 read 3 read 6 None 8 None
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "opencv-python-headless==5.0.0.93" "pillow==13.0.0" "numpy==2.4.6"
seen=$(cd "$folder" && venv/bin/python - 2>/dev/null <<'PYTHON'
import cv2
import numpy
from PIL import Image

picture = Image.fromarray(numpy.arange(40 * 60 * 3, dtype=numpy.uint8).reshape(40, 60, 3))
words = []
for orientation in (1, 3, 6, 8):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(f"{orientation}.tif", exif=exif.tobytes())
    flags = (cv2.IMREAD_COLOR, cv2.IMREAD_UNCHANGED)
    read = [cv2.imread(f"{orientation}.tif", flag) is not None for flag in flags]
    words.append(f"{orientation} {'read' if all(read) else 'None' if not any(read) else 'mixed'}")
print(*words)
PYTHON
)
echo "$seen"
[ "$seen" = "1 read 3 read 6 None 8 None" ]
