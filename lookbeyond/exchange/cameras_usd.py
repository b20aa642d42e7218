"""Camera moves as USD: an animated UsdGeom.Camera, and a RenderSettings prim that keeps the frame's size.

USD counts lenses and apertures in tenths of the scene's unit: 50 mm are 50 where a unit is a centimetre and 0.5 where
it is a metre. The stage states its unit and its up axis, so nothing has to be known beside the file.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookbeyond.errors import one_line
from lookbeyond.geometry.cameras import Camera, CameraError, PathError, opencv_to_opengl, opengl_to_opencv
from lookbeyond.whole import whole_file

from .camera_move import FPS, Z_UP_TO_Y_UP, CameraMove, turned
from .extras import optional

APERTURE_M = 0.036
"""Width of the film back that is written."""
CAMERA_PATH = "/LookBeyond/Camera"
SETTINGS_PATH = "/Render/Settings"
CONFORM = "adjustPixelAspectRatio"
"""The film back is stretched over the frame, whatever shape its pixels get: nothing of the lens is changed."""


def write_usd(path: Path, move: CameraMove, units_per_metre: float = 1.0, up: str = "z") -> None:
    """Write .usd, .usda or .usdc. `up` is "z" or "y"."""
    pxr = _pxr()
    with whole_file(path) as temporary:
        stage = pxr.Usd.Stage.CreateNew(str(temporary))
        pxr.UsdGeom.SetStageUpAxis(stage, pxr.UsdGeom.Tokens.y if up == "y" else pxr.UsdGeom.Tokens.z)
        pxr.UsdGeom.SetStageMetersPerUnit(stage, 1 / units_per_metre)
        stage.SetTimeCodesPerSecond(move.fps)
        stage.SetFramesPerSecond(move.fps)
        stage.SetStartTimeCode(move.first_frame)
        stage.SetEndTimeCode(move.first_frame + len(move.cameras) - 1)
        root = pxr.UsdGeom.Xform.Define(stage, "/LookBeyond")
        stage.SetDefaultPrim(root.GetPrim())
        camera_prim = pxr.UsdGeom.Camera.Define(stage, CAMERA_PATH)
        placing = camera_prim.AddTransformOp()
        tenths = 10 * units_per_metre
        aperture = APERTURE_M * tenths
        camera_prim.CreateClippingRangeAttr(pxr.Gf.Vec2f(0.01 * units_per_metre, 1000 * units_per_metre))
        axes = Z_UP_TO_Y_UP if up == "y" else np.eye(3)
        attributes = (
            camera_prim.CreateFocalLengthAttr(),
            camera_prim.CreateHorizontalApertureAttr(),
            camera_prim.CreateVerticalApertureAttr(),
            camera_prim.CreateHorizontalApertureOffsetAttr(),
            camera_prim.CreateVerticalApertureOffsetAttr(),
        )
        frames = range(move.first_frame, move.first_frame + len(move.cameras))
        for attribute, values in zip(attributes, _lenses(move, aperture).T.tolist(), strict=True):
            if len(set(values)) == 1:
                attribute.Set(values[0])
                continue
            for frame, value in zip(frames, values, strict=True):
                attribute.Set(value, frame)
        for frame, camera in zip(frames, move.cameras, strict=True):
            pose = turned(axes, opencv_to_opengl(camera.camera_to_world))
            pose[:3, 3] *= units_per_metre
            placing.Set(pxr.Gf.Matrix4d(*pose.T.ravel().tolist()), frame)  # USD's vectors are rows
        settings = pxr.UsdRender.Settings.Define(stage, SETTINGS_PATH)
        settings.CreateResolutionAttr(pxr.Gf.Vec2i(move.width, move.height))
        settings.CreateAspectRatioConformPolicyAttr(CONFORM)
        (fx, _, _), (_, fy, _), _ = move.cameras[0].intrinsics
        settings.CreatePixelAspectRatioAttr(float(fy / fx))
        settings.CreateCameraRel().SetTargets([pxr.Sdf.Path(CAMERA_PATH)])
        stage.GetRootLayer().Save()


def _lenses(move: CameraMove, aperture: float) -> NDArray[np.float64]:
    """[frames, 5]: focal length, apertures across and down, and how far they lie to the right and up."""
    rows = []
    for camera in move.cameras:
        (fx, _, cx), (_, fy, cy), _ = camera.intrinsics.tolist()
        focal = fx / camera.width * aperture
        height = focal * camera.height / fy
        rows.append(
            (focal, aperture, height, (0.5 - cx / camera.width) * aperture, (cy / camera.height - 0.5) * height)
        )
    return np.array(rows)


def read_usd(path: Path, width: int | None = None, height: int | None = None) -> CameraMove:
    """The first camera of a stage, a frame a time code. Raises `PathError`.

    width, height: for stages that hold no render settings; pixels.
    """
    pxr = _pxr()
    try:
        stage = pxr.Usd.Stage.Open(str(path))
    except pxr.Tf.ErrorException as error:
        raise PathError(f"{path} cannot be read as USD ({one_line(error, 200)}); export it again") from None
    prims = [prim for prim in stage.Traverse() if prim.IsA(pxr.UsdGeom.Camera)]
    if not prims:
        raise PathError(f"{path} holds no camera; select the camera and export it with cameras switched on")
    settings = _render_settings(pxr, stage)
    if settings is not None:
        width, height = (int(side) for side in settings.GetResolutionAttr().Get())
    if width is None or height is None:
        raise PathError(f"{path} does not say how many pixels a frame has; give --size WIDTHxHEIGHT")
    policy = "" if settings is None else str(settings.GetAspectRatioConformPolicyAttr().Get())
    camera_prim = pxr.UsdGeom.Camera(prims[0])
    metres = pxr.UsdGeom.GetStageMetersPerUnit(stage)
    axes = np.eye(3) if pxr.UsdGeom.GetStageUpAxis(stage) == pxr.UsdGeom.Tokens.z else Z_UP_TO_Y_UP.T
    first, last = stage.GetStartTimeCode(), stage.GetEndTimeCode()
    animated = stage.HasAuthoredTimeCodeRange()
    cameras = []
    for time in np.arange(round(first), round(last) + 1) if animated else [pxr.Usd.TimeCode.Default()]:
        try:
            cameras.append(
                _camera_at(pxr, camera_prim, float(time) if animated else time, (width, height), policy, axes, metres)
            )
        except CameraError as error:
            raise PathError(f"{path}, {prims[0].GetPath()} at time {time}: {error}") from None
    fps = stage.GetTimeCodesPerSecond() if stage.HasAuthoredMetadata("timeCodesPerSecond") else FPS
    return CameraMove(cameras, fps=fps, first_frame=round(first) if animated else 1)


def _camera_at(pxr, camera_prim, time, size: tuple[int, int], policy: str, axes, metres: float) -> Camera:
    values = camera_prim.GetCamera(time)
    if values.projection != pxr.Gf.Camera.Perspective:
        raise CameraError("the camera is orthographic; give a perspective camera")
    width, height = size
    across, down = values.horizontalAperture, values.verticalAperture
    fx, fy = values.focalLength / across * width, values.focalLength / down * height
    right, up = values.horizontalApertureOffset / across * width, values.verticalApertureOffset / down * height
    if policy != CONFORM:
        # Square pixels: render settings widen the film back to the frame; without any its width counts, as in Maya
        # and Blender, whose film backs often have another shape than the frame.
        square = fy if policy == "expandAperture" and across / down < width / height else fx
        right, up = right * square / fx, up * square / fy
        fx = fy = square
    pose = np.array(values.transform).T
    pose[:3, :3] /= np.linalg.norm(pose[:3, :3], axis=0)
    pose[:3, 3] *= metres
    intrinsics = [[fx, 0, width / 2 - right], [0, fy, height / 2 + up], [0, 0, 1]]
    return Camera(width, height, intrinsics, opengl_to_opencv(turned(axes, pose)))


def _render_settings(pxr, stage):
    """The first render settings that say a resolution, or None."""
    for prim in stage.TraverseAll():
        if prim.IsA(pxr.UsdRender.Settings):
            settings = pxr.UsdRender.Settings(prim)
            if settings.GetResolutionAttr().Get() is not None:
                return settings
    return None


def _pxr():
    """The package pxr with the modules that are used here."""
    pxr = optional("pxr", "usd-core", "Reading and writing USD")
    for module in ("Gf", "Sdf", "Tf", "Usd", "UsdGeom", "UsdRender", "UsdShade", "Vt"):
        optional(f"pxr.{module}", "usd-core", "Reading and writing USD")
    return pxr
