"""A stage as glTF binary (.glb): Y up, metres, pictures inside, lit by nothing but themselves (KHR_materials_unlit)."""

import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import ModuleType

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
    file = _Binary(optional("pygltflib", "pygltflib", "Writing glTF"))
    used = [name for name in textures if any(part.texture == name for part in parts)]
    # a sphere's picture goes on at its other side; with faces alone nothing does
    beyond = {part.texture for part in parts if part.uv.max() > 1}
    file.add_textures({name: textures[name] for name in used}, beyond)
    for part in parts:
        file.add_mesh(part, None if part.texture is None else used.index(part.texture))
    with whole_file(path) as temporary, storage_errors(path):
        temporary.write_bytes(file.to_bytes())


class _Binary:
    """A glTF file under construction."""

    def __init__(self, gltf: ModuleType):
        self._gltf = gltf
        self._content = gltf.GLTF2(
            asset=gltf.Asset(version="2.0", generator="Look Beyond"), scene=0, scenes=[gltf.Scene(nodes=[])]
        )
        self._blob = bytearray()

    def add_textures(self, pictures: Mapping[str, NDArray[np.uint8]], repeated: Collection[str | None]) -> None:
        """One unlit material for each picture. repeated: those that go on at their other side."""
        if not pictures:
            return
        gltf, content = self._gltf, self._content
        content.extensionsUsed = ["KHR_materials_unlit"]
        wraps = [_REPEAT if name in repeated else _CLAMP for name in pictures]
        kinds = sorted(set(wraps))
        content.samplers = [
            gltf.Sampler(magFilter=_LINEAR, minFilter=_MIPMAPS, wrapS=wrap, wrapT=_CLAMP) for wrap in kinds
        ]
        for number, (name, picture) in enumerate(pictures.items()):
            view = self._view(jpeg(picture), None)
            content.images.append(gltf.Image(bufferView=view, mimeType="image/jpeg", name=name))
            content.textures.append(gltf.Texture(source=number, sampler=kinds.index(wraps[number])))
            look = gltf.PbrMetallicRoughness(
                baseColorTexture=gltf.TextureInfo(index=number), metallicFactor=0.0, roughnessFactor=1.0
            )
            unlit = {"KHR_materials_unlit": {}}
            content.materials.append(gltf.Material(name=name, pbrMetallicRoughness=look, extensions=unlit))

    def add_mesh(self, part: MeshPart, material: int | None) -> None:
        """A node with one mesh."""
        gltf, content = self._gltf, self._content
        vertices = np.ascontiguousarray(part.vertices @ Z_UP_TO_Y_UP.T.astype(np.float32))
        limits = {"min": vertices.min(0).tolist(), "max": vertices.max(0).tolist()}
        attributes = gltf.Attributes(POSITION=self._accessor(vertices, "VEC3", _FLOAT, _ARRAY, **limits))
        if material is not None:
            attributes.TEXCOORD_0 = self._accessor(np.ascontiguousarray(part.uv), "VEC2", _FLOAT, _ARRAY)
        indices = self._accessor(part.triangles.astype("<u4").ravel(), "SCALAR", _UNSIGNED_INT, _ELEMENTS)
        primitive = gltf.Primitive(attributes=attributes, indices=indices, material=material, mode=4)
        number = len(content.meshes)
        content.meshes.append(gltf.Mesh(name=part.name, primitives=[primitive]))
        content.nodes.append(gltf.Node(name=part.name, mesh=number))
        content.scenes[0].nodes.append(number)

    def to_bytes(self) -> bytes:
        self._content.buffers = [self._gltf.Buffer(byteLength=len(self._blob))]
        self._content.set_binary_blob(bytes(self._blob))
        return b"".join(self._content.save_to_bytes())

    def _view(self, data: bytes, target: int | None) -> int:
        self._blob.extend(b"\0" * (-len(self._blob) % 4))
        views = self._content.bufferViews
        views.append(self._gltf.BufferView(buffer=0, byteOffset=len(self._blob), byteLength=len(data), target=target))
        self._blob.extend(data)
        return len(views) - 1

    def _accessor(self, array: NDArray, kind: str, component: int, target: int, **limits: list[float]) -> int:
        view = self._view(array.tobytes(), target)
        self._content.accessors.append(
            self._gltf.Accessor(bufferView=view, componentType=component, type=kind, count=len(array), **limits)
        )
        return len(self._content.accessors) - 1


def jpeg(picture: NDArray[np.uint8], quality: int = JPEG_QUALITY) -> bytes:
    """The picture [h, w, 3] as the bytes of a JPEG file."""
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "JPEG", quality=quality, subsampling=0)
    return encoded.getvalue()
