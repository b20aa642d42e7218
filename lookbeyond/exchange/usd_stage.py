"""A stage as USD: one Mesh a part under /Stage, Z up, metres, with preview materials that shine by themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookbeyond.whole import whole_file, whole_folder

from .cameras_usd import _pxr
from .gltf import jpeg
from .stage import MeshPart


def write_usd_stage(path: Path, parts: Sequence[MeshPart], textures: Mapping[str, NDArray[np.uint8]]) -> None:
    """Write .usd, .usda or .usdc, and the pictures as JPEG files into the folder NAME_textures beside it."""
    pxr = _pxr()
    path = Path(path)
    used = [name for name in textures if any(part.texture == name for part in parts)]
    files = {name: f"{name.replace(' ', '_')}.jpg" for name in used}
    folder = path.with_name(f"{path.stem}_textures")
    with whole_file(path) as temporary:
        stage = pxr.Usd.Stage.CreateNew(str(temporary))
        pxr.UsdGeom.SetStageUpAxis(stage, pxr.UsdGeom.Tokens.z)
        pxr.UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        root = pxr.UsdGeom.Xform.Define(stage, "/Stage")
        stage.SetDefaultPrim(root.GetPrim())
        looks = {name: _material(pxr, stage, name, f"./{folder.name}/{files[name]}") for name in used}
        for part in parts:
            mesh = pxr.UsdGeom.Mesh.Define(stage, f"/Stage/{part.name.replace(' ', '_')}")
            mesh.CreatePointsAttr(pxr.Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(part.vertices, np.float32)))
            mesh.CreateFaceVertexCountsAttr(pxr.Vt.IntArray.FromNumpy(np.full(len(part.triangles), 3, np.int32)))
            mesh.CreateFaceVertexIndicesAttr(pxr.Vt.IntArray.FromNumpy(part.triangles.astype(np.int32).ravel()))
            mesh.CreateSubdivisionSchemeAttr(pxr.UsdGeom.Tokens.none)
            mesh.CreateExtentAttr(pxr.Vt.Vec3fArray.FromNumpy(np.stack([part.vertices.min(0), part.vertices.max(0)])))
            if part.texture is None:
                continue
            st = pxr.UsdGeom.PrimvarsAPI(mesh).CreatePrimvar(
                "st", pxr.Sdf.ValueTypeNames.TexCoord2fArray, pxr.UsdGeom.Tokens.vertex
            )
            up = np.ascontiguousarray(part.uv * np.float32([1, -1]) + np.float32([0, 1]))  # USD's t runs up
            st.Set(pxr.Vt.Vec2fArray.FromNumpy(up))
            pxr.UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(looks[part.texture])
        stage.GetRootLayer().Save()
        if used:
            with whole_folder(folder, tuple(files.values())) as pictures:
                for name in used:
                    (pictures / files[name]).write_bytes(jpeg(textures[name]))


def _material(pxr, stage, name: str, file: str):
    material = pxr.UsdShade.Material.Define(stage, f"/Stage/Materials/{name.replace(' ', '_')}")
    path = material.GetPath()
    reader = pxr.UsdShade.Shader.Define(stage, path.AppendChild("st"))
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", pxr.Sdf.ValueTypeNames.String).Set("st")
    picture = pxr.UsdShade.Shader.Define(stage, path.AppendChild("picture"))
    picture.CreateIdAttr("UsdUVTexture")
    picture.CreateInput("file", pxr.Sdf.ValueTypeNames.Asset).Set(file)
    picture.CreateInput("sourceColorSpace", pxr.Sdf.ValueTypeNames.Token).Set("sRGB")
    for wrap in ("wrapS", "wrapT"):
        picture.CreateInput(wrap, pxr.Sdf.ValueTypeNames.Token).Set("repeat" if wrap == "wrapS" else "clamp")
    picture.CreateInput("st", pxr.Sdf.ValueTypeNames.Float2).ConnectToSource(reader.ConnectableAPI(), "result")
    surface = pxr.UsdShade.Shader.Define(stage, path.AppendChild("surface"))
    surface.CreateIdAttr("UsdPreviewSurface")
    surface.CreateInput("diffuseColor", pxr.Sdf.ValueTypeNames.Color3f).Set(pxr.Gf.Vec3f(0))
    surface.CreateInput("roughness", pxr.Sdf.ValueTypeNames.Float).Set(1.0)
    surface.CreateInput("emissiveColor", pxr.Sdf.ValueTypeNames.Color3f).ConnectToSource(
        picture.ConnectableAPI(), "rgb"
    )
    material.CreateSurfaceOutput().ConnectToSource(surface.ConnectableAPI(), "surface")
    return material
