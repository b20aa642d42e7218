"""Splats in files: PLY as the reference implementation of 3D Gaussian splatting writes it, and Niantic's SPZ.

Both hold f_dc = (sRGB - 1/2) / 0.28209, the logarithm of the standard deviations and opacity before the sigmoid. A PLY
is turned as captures usually are, Y down and Z forward, so that viewers show it upright (in Blender 5.3's import:
forward Z, up -Y); an SPZ has Y up, as its specification says.
"""

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookbeyond.errors import InputError
from lookbeyond.whole import storage_errors, whole_file

from .splats import Splats

SH_0 = 0.28209479177387814
"""The constant spherical harmonic."""
PROPERTIES = "x y z f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3".split()
SPZ_MAGIC, SPZ_VERSION = 0x5053474E, 3  # version 2 keeps some rotations to 8 degrees only, 4 is read by few yet
SPZ_FRACTION_BITS = 12
"""Positions are whole numbers of 1 / 4096 m, up to 2 km away."""
SPZ_REACH_M = 2**23 / 2**SPZ_FRACTION_BITS

_HALF = np.sqrt(0.5)
_Y_DOWN = (_HALF, _HALF)  # w and x of the turn by +90 degrees about X: (x, y, z) -> (x, -z, y)
_Y_UP = (_HALF, -_HALF)  # and by -90 degrees: (x, y, z) -> (x, z, -y)


def write_splats(path: Path, splats: Splats) -> None:
    """Write a .ply or .spz, by the name's ending; whole or not at all. Raises InputError for another ending."""
    check_name(path)
    (write_ply if Path(path).suffix.lower() == ".ply" else write_spz)(Path(path), splats)


def check_name(path: Path) -> None:
    """Raise InputError unless the name ends with .ply or .spz."""
    if Path(path).suffix.lower() not in (".ply", ".spz"):
        raise InputError(f"{path} is not a name for splats; end it with .ply or .spz.")


def write_ply(path: Path, splats: Splats) -> None:
    """Write little-endian binary PLY: 14 floats a splat."""
    table = np.empty((len(splats), len(PROPERTIES)), "<f4")
    position, rotation = _turned(splats, _Y_DOWN)
    table[:, :3] = position
    table[:, 3:6] = (splats.colour - 0.5) / SH_0
    table[:, 6] = _logit(splats.opacity)
    table[:, 7:10] = np.log(splats.scale)
    table[:, 10:] = rotation
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(splats)}"]
    header += [*(f"property float {name}" for name in PROPERTIES), "end_header", ""]
    with whole_file(path) as temporary, storage_errors(path), temporary.open("wb") as file:
        file.write("\n".join(header).encode())
        table.tofile(file)


def read_ply(path: Path) -> Splats:
    """Read a PLY of splats: binary little-endian, as `write_ply` and the training programs write it.

    Properties may stand in any order; harmonics above degree 0 and normals are ignored. Raises InputError.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a PLY file of splats.") from error
    head, mark, body = content.partition(b"end_header\n")
    lines = head.decode("ascii", "replace").splitlines()
    if not mark or lines[0].strip() != "ply" or "format binary_little_endian 1.0" not in lines:
        raise InputError(f"{path} is not a binary PLY file; export it again as binary (little-endian) PLY.")
    elements = [line.split() for line in lines if line.startswith("element")]
    names = [line.split()[-1] for line in lines if line.startswith("property")]
    types = [line.split()[1] for line in lines if line.startswith("property")]
    missing = [name for name in PROPERTIES if name not in names]
    if missing or set(types) != {"float"} or len(elements) != 1:
        what = f"it has no {missing[0]}" if missing else "it holds more than points of floats"
        raise InputError(f"{path} is not a file of splats ({what}); give a 3D Gaussian splatting PLY.")
    count = int(elements[0][2])
    if len(body) < count * 4 * len(names):
        whole = len(body) // (4 * len(names))
        raise InputError(f"{path} is cut short: {whole} of {count} splats are there; copy or export it again.")
    table = np.frombuffer(body, "<f4", count * len(names)).reshape(count, -1)
    table = table[:, [names.index(name) for name in PROPERTIES]]
    rotation = table[:, 10:] / np.maximum(np.linalg.norm(table[:, 10:], axis=1, keepdims=True), 1e-12)
    x, y, z = table[:, :3].T
    return Splats(
        np.stack([x, z, -y], 1),
        np.exp(table[:, 7:10]),
        _turn(rotation, (_HALF, -_HALF)),
        table[:, 3:6] * np.float32(SH_0) + np.float32(0.5),
        1 / (1 + np.exp(-table[:, 6])),
    )


def write_spz(path: Path, splats: Splats) -> None:
    """Write SPZ, version 3. Raises InputError where a splat lies more than 2 km from the origin."""
    position, rotation = _turned(splats, _Y_UP)
    if np.abs(position).max(initial=0) >= SPZ_REACH_M:
        raise InputError(f"{path}: the world reaches beyond {SPZ_REACH_M:.0f} m, where SPZ ends; write a .ply instead.")
    fixed = np.round(position * 2**SPZ_FRACTION_BITS).astype("<i4").view(np.uint8).reshape(-1, 3, 4)[..., :3]
    parts = [
        fixed,
        _bytes(splats.opacity * 255),
        _bytes((splats.colour - 0.5) / SH_0 * (0.15 * 255) + 127.5),
        _bytes((np.log(splats.scale) + 10) * 16),
        _smallest_three(rotation),
    ]
    header = struct.pack("<IIIBBBB", SPZ_MAGIC, SPZ_VERSION, len(splats), 0, SPZ_FRACTION_BITS, 0, 0)
    with (
        whole_file(path) as temporary,
        storage_errors(path),
        temporary.open("wb") as file,
        # a name or a time in the gzip header would make equal splats unequal files
        gzip.GzipFile("", "wb", compresslevel=2, fileobj=file, mtime=0) as packed,
    ):
        packed.write(header)
        for part in parts:
            packed.write(np.ascontiguousarray(part).data)


def _bytes(values: NDArray) -> NDArray[np.uint8]:
    return np.round(values).clip(0, 255).astype(np.uint8)


def _smallest_three(rotation: NDArray) -> NDArray[np.uint32]:
    """Quaternions [N, 4] (w first) in 32 bits: which of x y z w is largest, then a sign and 9 bits of each other."""
    parts = rotation[:, [1, 2, 3, 0]]
    largest = np.abs(parts).argmax(1)
    parts = parts * np.where(np.take_along_axis(parts, largest[:, None], 1) < 0, -1, 1)
    packed = largest.astype(np.uint32)
    others = np.array([[j for j in range(4) if j != i] for i in range(4)])[largest]
    for part in np.take_along_axis(parts, others, 1).T:
        size = np.minimum(np.abs(part) * (511 / _HALF) + 0.5, 511).astype(np.uint32)
        packed = (packed << 10) | ((part < 0).astype(np.uint32) << 9) | size
    return packed.astype("<u4")


def _logit(opacity: NDArray) -> NDArray:
    share = np.clip(opacity, 1e-6, 1 - 1e-6)
    return np.log(share / (1 - share))


def _turned(splats: Splats, turn: tuple[float, float]) -> tuple[NDArray, NDArray]:
    """Positions [N, 3] and rotations [N, 4] turned by a quarter about X."""
    x, y, z = splats.position.T
    position = np.stack([x, -z, y] if turn == _Y_DOWN else [x, z, -y], 1)
    return position, _turn(splats.rotation, turn)


def _turn(rotation: NDArray, turn: tuple[float, float]) -> NDArray[np.float32]:
    """The quaternions after a turn (w, x) about X, their w not negative."""
    w, x, y, z = rotation.T
    a, b = turn
    turned = np.stack([a * w - b * x, a * x + b * w, a * y - b * z, a * z + b * y], 1)
    return np.where(turned[:, :1] < 0, -turned, turned).astype(np.float32)
