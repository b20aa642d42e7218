#!/bin/sh
# Blender 4.2.23 (LTS), importing USD: of a camera whose focal length is animated it takes the first value and drops the
# rest, and of a stage that counts in centimetres (metersPerUnit = 0.01) it takes the numbers for metres, so that a
# camera 2 m away stands 200 m away. Neither is said. USD files from Maya or Unreal count in centimetres as a rule.
# 4.5.15, 5.0.1 and 5.3.0 read both as they are meant.
#
# The stage here is valid: OpenUSD 25's own library reads focal lengths of 30, 40 and 50 mm and a camera at x = 2 m.
#
# Output seen (bpy 4.2.23, usd-core 25.11, Python 3.11):
#   USD     lens [30.0, 40.0, 50.0] at 2.0 m
#   Blender lens [30.0, 30.0, 30.0] at 200.0 m
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "bpy==4.2.23" "usd-core==25.11" "numpy<2"
cat > "$folder/stage.usda" <<'USD'
#usda 1.0
(
    defaultPrim = "cam"
    startTimeCode = 1
    endTimeCode = 3
    timeCodesPerSecond = 24
    framesPerSecond = 24
    metersPerUnit = 0.01
    upAxis = "Z"
)
def Camera "cam"
{
    float focalLength.timeSamples = { 1: 30, 2: 40, 3: 50 }
    float horizontalAperture = 36
    float verticalAperture = 20.25
    double3 xformOp:translate = (200, 0, 0)
    uniform token[] xformOpOrder = ["xformOp:translate"]
}
USD
usd=$("$folder/venv/bin/python" - "$folder/stage.usda" <<'PYTHON'
import sys

from pxr import Usd, UsdGeom

stage = Usd.Stage.Open(sys.argv[1])
camera = UsdGeom.Camera(stage.GetDefaultPrim())
unit = UsdGeom.GetStageMetersPerUnit(stage)
place = UsdGeom.Xformable(camera).GetLocalTransformation().ExtractTranslation()
# a focal length counts in tenths of the stage's unit
lens = [round(camera.GetFocalLengthAttr().Get(frame) * unit / 10 * 1000, 2) for frame in (1, 2, 3)]
print("lens", lens, "at", round(place[0] * unit, 2), "m")
PYTHON
)
echo "USD     $usd"
blender=$("$folder/venv/bin/python" - "$folder/stage.usda" <<'PYTHON'
import sys

import bpy

bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.wm.usd_import(filepath=sys.argv[1])
(camera,) = [one for one in bpy.data.objects if one.type == "CAMERA"]
lens = []
for frame in (1, 2, 3):
    bpy.context.scene.frame_set(frame)
    lens.append(round(camera.data.lens, 2))
print("lens", lens, "at", round(camera.matrix_world.translation.x, 2), "m")
PYTHON
)
blender=$(echo "$blender" | tail -n 1)
echo "Blender $blender"
[ "$usd" = "lens [30.0, 40.0, 50.0] at 2.0 m" ]
[ "$blender" = "lens [30.0, 30.0, 30.0] at 200.0 m" ]
