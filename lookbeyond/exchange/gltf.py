"""A stage as glTF binary (.glb): Y up, metres, pictures inside, lit by nothing but themselves (KHR_materials_unlit)."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lookbeyond.whole import storage_errors, whole_file

from .camera_move import Z_UP_TO_Y_UP
from .extras import optional
from .stage import MeshPart

JPEG_QUALITY = 90
_FLOAT, _UNSIGNED_INT = 5126, 5125
_ARRAY, _ELEMENTS = 34962, 34963
_LINEAR, _MIPMAPS, _REPEAT, _CLAMP = 9729, 9987, 10497, 33071


def write_glb(path: Path, parts: Sequence[MeshPart], textures: Mapping[str, NDArray[np.uint8]]) -> None:
    """Write one node and one mesh for each part, and the pictures as JPEG. Parts without one get a grey material."""
    gltf = optional("pygltflib", "pygltflib", "Writing glTF")
    content = gltf.GLTF2(
        asset=gltf.Asset(version="2.0", generator="Look Beyond"),
        scene=0,
        scenes=[gltf.Scene(nodes=list(range(len(parts))))],
    )
    blob = bytearray()

    def view(data: bytes, target: int | None) -> int:
        blob.extend(b"\0" * (-len(blob) % 4))
        content.bufferViews.append(
            gltf.BufferView(buffer=0, byteOffset=len(blob), byteLength=len(data), target=target)
        )  # fmt: skip
        blob.extend(data)
        return len(content.bufferViews) - 1

    def accessor(array: NDArray, kind: str, component: int, target: int, bounds: bool = False) -> int:
        limits = {"min": array.min(0).tolist(), "max": array.max(0).tolist()} if bounds else {}
        content.accessors.append(
            gltf.Accessor(
                bufferView=view(array.tobytes(), target),
                componentType=component,
                type=kind,
                count=len(array),
                **limits,
            )
        )
        return len(content.accessors) - 1

    used = [name for name in textures if any(part.texture == name for part in parts)]
    if used:
        content.extensionsUsed = ["KHR_materials_unlit"]
        # a sphere's picture goes on at its other side; with faces alone nothing does
        beyond = {part.texture for part in parts if part.uv.max() > 1}
        wraps = [_REPEAT if name in beyond else _CLAMP for name in used]
        kinds = sorted(set(wraps))
        content.samplers = [
            gltf.Sampler(magFilter=_LINEAR, minFilter=_MIPMAPS, wrapS=wrap, wrapT=_CLAMP) for wrap in kinds
        ]
    for number, name in enumerate(used):
        content.images.append(gltf.Image(bufferView=view(jpeg(textures[name]), None), mimeType="image/jpeg", name=name))
        content.textures.append(gltf.Texture(source=number, sampler=kinds.index(wraps[number])))
        look = gltf.PbrMetallicRoughness(
            baseColorTexture=gltf.TextureInfo(index=number), metallicFactor=0.0, roughnessFactor=1.0
        )
        content.materials.append(
            gltf.Material(name=name, pbrMetallicRoughness=look, extensions={"KHR_materials_unlit": {}})
        )  # fmt: skip
    for number, part in enumerate(parts):
        vertices = np.ascontiguousarray(part.vertices @ Z_UP_TO_Y_UP.T.astype(np.float32))
        attributes = gltf.Attributes(POSITION=accessor(vertices, "VEC3", _FLOAT, _ARRAY, bounds=True))
        material = None
        if part.texture is not None:
            attributes.TEXCOORD_0 = accessor(np.ascontiguousarray(part.uv), "VEC2", _FLOAT, _ARRAY)
            material = used.index(part.texture)
        indices = accessor(part.triangles.astype("<u4").ravel(), "SCALAR", _UNSIGNED_INT, _ELEMENTS)
        primitive = gltf.Primitive(attributes=attributes, indices=indices, material=material, mode=4)
        content.meshes.append(gltf.Mesh(name=part.name, primitives=[primitive]))
        content.nodes.append(gltf.Node(name=part.name, mesh=number))
    content.buffers = [gltf.Buffer(byteLength=len(blob))]
    content.set_binary_blob(bytes(blob))
    with whole_file(path) as temporary, storage_errors(path):
        temporary.write_bytes(b"".join(content.save_to_bytes()))


def jpeg(picture: NDArray[np.uint8], quality: int = JPEG_QUALITY) -> bytes:
    """The picture [h, w, 3] as the bytes of a JPEG file."""
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "JPEG", quality=quality, subsampling=0)
    return encoded.getvalue()
