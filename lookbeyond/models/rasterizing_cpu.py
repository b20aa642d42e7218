"""Surfaces drawn into frames on a processor: triangles with a depth buffer, compiled by Numba.

Everything here is plain arrays; `warping` says what they mean.
"""

import math

import numpy as np

from ..compiling import compiled
from ..geometry.surface import BLOCK

NEAR = 1e-3
"""What lies nearer to the camera's plane, metres, is cut away."""
SUBPIXELS = 256.0
"""Corners are put on a grid of so many parts of a pixel: then two triangles share an edge to the last bit, and no
pixel falls between them."""


@compiled
def _triangle(x0, y0, w0, x1, y1, w1, x2, y2, w2, top, bottom, inverse):
    """One triangle into the rows top..bottom - 1 of `inverse`, the nearest surface's 1 / depth. x, y in pixels,
    w = 1 / depth, linear across the frame."""
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    if area <= 0:  # seen from behind
        return
    left = max(math.ceil(min(x0, x1, x2) - 0.5), 0.0)
    right = min(math.floor(max(x0, x1, x2) - 0.5), inverse.shape[1] - 1.0)
    first = max(math.ceil(min(y0, y1, y2) - 0.5), float(top))
    last = min(math.floor(max(y0, y1, y2) - 0.5), bottom - 1.0)
    if left > right or first > last:
        return
    # what lies right of each side, at the first pixel
    column, row = left + 0.5, first + 0.5
    side0 = (x2 - x1) * (row - y1) - (y2 - y1) * (column - x1)
    side1 = (x0 - x2) * (row - y2) - (y0 - y2) * (column - x2)
    side2 = (x1 - x0) * (row - y0) - (y1 - y0) * (column - x0)
    across0, across1, across2 = y1 - y2, y2 - y0, y0 - y1
    down0, down1, down2 = x2 - x1, x0 - x2, x1 - x0
    scale = 1 / area
    v0, v1, v2 = w0 * scale, w1 * scale, w2 * scale
    begin, count = int(left), int(right) - int(left) + 1
    for y in range(int(first), int(last) + 1):
        a, b, c = side0, side1, side2
        line = inverse[y]
        for x in range(begin, begin + count):
            if a >= 0 and b >= 0 and c >= 0:
                line[x] = max(line[x], np.float32(a * v0 + b * v1 + c * v2))
            a += across0
            b += across1
            c += across2
        side0 += down0
        side1 += down1
        side2 += down2


@compiled
def _snapped(value):
    return np.rint(value * SUBPIXELS) * (1 / SUBPIXELS)


@compiled
def _projected(point_x, point_y, point_z, matrix):
    """Whether the camera sees a point, that is whether it is as far as NEAR, and its x, y (pixels) and 1 / depth."""
    x, y, z = np.float64(point_x), np.float64(point_y), np.float64(point_z)
    depth = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
    w = 1 / depth
    across = _snapped((matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]) * w)
    down = _snapped((matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]) * w)
    return depth >= NEAR, across, down, w


@compiled
def _clipped(first, second, third, matrix, top, bottom, inverse):
    """A triangle whose corners [3] lie on both sides of NEAR."""
    corners, cut = np.empty((3, 3)), np.empty((4, 3))
    for i, point in enumerate((first, second, third)):
        for k in range(3):
            corners[i, k] = matrix[k, 0] * point[0] + matrix[k, 1] * point[1] + matrix[k, 2] * point[2] + matrix[k, 3]
    number = 0
    for i in range(3):
        here, there = corners[i], corners[(i + 1) % 3]
        if here[2] >= NEAR:
            cut[number] = here
            number += 1
        if (here[2] >= NEAR) != (there[2] >= NEAR):
            # from the nearer to the farther one, whichever comes first: the neighbour cuts this edge, too
            if here[2] > there[2]:
                here, there = there, here
            share = (NEAR - here[2]) / (there[2] - here[2])
            for k in range(2):
                cut[number, k] = here[k] + (there[k] - here[k]) * share
            cut[number, 2] = NEAR
            number += 1
    for i in range(number):
        cut[i, 2] = 1 / cut[i, 2]
        cut[i, 0] = _snapped(cut[i, 0] * cut[i, 2])
        cut[i, 1] = _snapped(cut[i, 1] * cut[i, 2])
    for i in range(2, number):
        a, b, c = cut[0], cut[i - 1], cut[i]
        _triangle(a[0], a[1], a[2], b[0], b[1], b[2], c[0], c[1], c[2], top, bottom, inverse)


@compiled
def _outside(box, matrix, top, bottom, width):
    """Whether a box [2, 3] lies wholly on the outer side of one of the frame's planes."""
    nearer = left = right = above = below = 0
    for corner in range(8):
        x, y, z = box[corner & 1, 0], box[corner >> 1 & 1, 1], box[corner >> 2, 2]
        across = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]
        down = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]
        depth = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
        nearer += depth < NEAR
        left += across < 0
        right += across > width * depth
        above += down < top * depth
        below += down > bottom * depth
    return nearer == 8 or left == 8 or right == 8 or above == 8 or below == 8


@compiled
def _draw_loose(corners, matrix, top, bottom, inverse):
    """A triangle that is not one of the grid's, by its corners [3, 3]."""
    ahead0, x0, y0, w0 = _projected(corners[0, 0], corners[0, 1], corners[0, 2], matrix)
    ahead1, x1, y1, w1 = _projected(corners[1, 0], corners[1, 1], corners[1, 2], matrix)
    ahead2, x2, y2, w2 = _projected(corners[2, 0], corners[2, 1], corners[2, 2], matrix)
    if ahead0 and ahead1 and ahead2:
        _triangle(x0, y0, w0, x1, y1, w1, x2, y2, w2, top, bottom, inverse)
    elif ahead0 or ahead1 or ahead2:
        _clipped(corners[0], corners[1], corners[2], matrix, top, bottom, inverse)


@compiled
def _project_block(points, row, column, rows, columns, matrix, x, y, nearness):
    """x, y (pixels) and 1 / depth of a block's corners into [BLOCK + 1, BLOCK + 1] each, as `_projected` does it one by
    one; whether all of them are as far as NEAR. What is nearer has any x and y, and a 1 / depth beyond 1 / NEAR or
    below 0."""
    farthest = 0.0
    for i in range(rows + 1):
        for j in range(columns + 1):  # without a branch, so that it vectorises
            r, c = row + i, column + j
            ahead, x[i, j], y[i, j], w = _projected(points[r, c, 0], points[r, c, 1], points[r, c, 2], matrix)
            nearness[i, j] = w if ahead else -1.0
    for i in range(rows + 1):
        for j in range(columns + 1):
            farthest = min(farthest, nearness[i, j])
    return farthest >= 0


@compiled
def _quad(xa, ya, wa, xb, yb, wb, xc, yc, wc, xd, yd, wd, top, bottom, inverse):
    """Two triangles, a b d and b c d, as `_triangle` draws them: at once where they cover few pixels, as most do."""
    left = max(math.ceil(min(min(xa, xb), min(xc, xd)) - 0.5), 0.0)
    right = min(math.floor(max(max(xa, xb), max(xc, xd)) - 0.5), inverse.shape[1] - 1.0)
    first = max(math.ceil(min(min(ya, yb), min(yc, yd)) - 0.5), float(top))
    last = min(math.floor(max(max(ya, yb), max(yc, yd)) - 0.5), bottom - 1.0)
    if left > right or first > last:
        return
    if (right - left + 1) * (last - first + 1) > 9:
        _triangle(xa, ya, wa, xb, yb, wb, xd, yd, wd, top, bottom, inverse)
        _triangle(xb, yb, wb, xc, yc, wc, xd, yd, wd, top, bottom, inverse)
        return
    area, other_area = (xb - xa) * (yd - ya) - (xd - xa) * (yb - ya), (xc - xb) * (yd - yb) - (xd - xb) * (yc - yb)
    scale, other_scale = 1 / area, 1 / other_area
    for y in range(int(first), int(last) + 1):
        line, row = inverse[y], y + 0.5
        for x in range(int(left), int(right) + 1):
            column = x + 0.5
            beyond = (xd - xb) * (row - yb) - (yd - yb) * (column - xb)
            if beyond >= 0 and area > 0:
                side1 = (xa - xd) * (row - yd) - (ya - yd) * (column - xd)
                side2 = (xb - xa) * (row - ya) - (yb - ya) * (column - xa)
                if side1 >= 0 and side2 >= 0:
                    nearness = beyond * (wa * scale) + side1 * (wb * scale) + side2 * (wd * scale)
                    line[x] = max(line[x], np.float32(nearness))
            if beyond <= 0 and other_area > 0:
                side0 = (xd - xc) * (row - yc) - (yd - yc) * (column - xc)
                side2 = (xc - xb) * (row - yb) - (yc - yb) * (column - xb)
                if side0 >= 0 and side2 >= 0:
                    nearness = side0 * (wb * other_scale) - beyond * (wc * other_scale) + side2 * (wd * other_scale)
                    line[x] = max(line[x], np.float32(nearness))


@compiled
def draw(points, whole, loose, loose_from, boxes, matrix, top, bottom, inverse):
    """A `Surface`'s arrays into the rows top..bottom - 1 of `inverse` [H, W], 1 / depth of the nearest surface.

    matrix: [3, 4], from points (and 1) to pixels times depth, and depth.
    """
    height, width = whole.shape
    blocks_across = (width + BLOCK - 1) // BLOCK
    x, y, w = np.empty((3, BLOCK + 1, BLOCK + 1))
    for block in range(len(boxes)):
        if _outside(boxes[block], matrix, top, bottom, inverse.shape[1]):
            continue
        row, column = block // blocks_across * BLOCK, block % blocks_across * BLOCK
        rows, columns = min(BLOCK, height - row), min(BLOCK, width - column)
        ahead = _project_block(points, row, column, rows, columns, matrix, x, y, w)
        for i in range(rows):
            for j in range(columns):
                if not whole[row + i, column + j]:
                    continue
                if ahead or min(min(w[i, j], w[i, j + 1]), min(w[i + 1, j], w[i + 1, j + 1])) >= 0:
                    _quad(
                        x[i, j], y[i, j], w[i, j],
                        x[i, j + 1], y[i, j + 1], w[i, j + 1],
                        x[i + 1, j + 1], y[i + 1, j + 1], w[i + 1, j + 1],
                        x[i + 1, j], y[i + 1, j], w[i + 1, j],
                        top, bottom, inverse,
                    )  # fmt: skip
                elif max(max(w[i, j], w[i, j + 1]), max(w[i + 1, j], w[i + 1, j + 1])) >= 0:
                    above, below = points[row + i], points[row + i + 1]
                    here, after = column + j, column + j + 1
                    _clipped(above[here], above[after], below[here], matrix, top, bottom, inverse)
                    _clipped(above[after], below[after], below[here], matrix, top, bottom, inverse)
        for number in range(loose_from[block], loose_from[block + 1]):
            _draw_loose(loose[number], matrix, top, bottom, inverse)


def _arctangent_terms(number: int = 7) -> tuple[np.float32, ...]:
    """Coefficients of P with atan(t) = t P(t²) for t in 0..1, to 1e-7."""
    fit = np.polynomial.Chebyshev.interpolate(
        lambda square: np.arctan(np.sqrt(square)) / np.sqrt(square), number, domain=[0, 1]
    )
    return tuple(np.float32(term) for term in fit.convert(kind=np.polynomial.Polynomial).coef)


_A0, _A1, _A2, _A3, _A4, _A5, _A6, _A7 = _arctangent_terms()
_PI = np.float32(math.pi)


@compiled
def _angle(y, x):
    """atan2(y, x) without a branch, so that it vectorises; to within some 2e-7."""
    wide, high = abs(x), abs(y)
    t = min(wide, high) / max(max(wide, high), np.float32(1e-30))
    s = t * t
    angle = t * (_A0 + s * (_A1 + s * (_A2 + s * (_A3 + s * (_A4 + s * (_A5 + s * (_A6 + s * _A7)))))))
    angle = _PI / 2 - angle if high > wide else angle
    angle = _PI - angle if x < 0 else angle
    return -angle if y < 0 else angle


@compiled
def resolve(inverse, top, bottom, to_world, offset, sphere, heading_rad, to_frame, distance, coords):
    """Distances [H, W] and source coordinates [H, W, 2] of the rows top..bottom - 1 from 1 / depth [H, W], 0 in holes.

    to_world: [3, 3], from pixels (column, row, 1) to rays one metre deep; offset: [3] of the camera from the source;
    to_frame: [3, 3], from directions to shares of a view's frame. All float32.
    """
    none, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    turn = np.float32((0.5 + heading_rad / (2 * math.pi)) % 1.0)
    width = inverse.shape[1]
    # only what is written into memory of its own is computed several pixels at a time; `distance` may be `inverse`
    columns, rows, distances = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    for row in range(top, bottom):
        down = np.float32(row) + half
        first_x = to_world[0, 1] * down + to_world[0, 2]
        first_y = to_world[1, 1] * down + to_world[1, 2]
        first_z = to_world[2, 1] * down + to_world[2, 2]
        for column in range(width):
            across = np.float32(column) + half
            x = to_world[0, 0] * across + first_x
            y = to_world[1, 0] * across + first_y
            z = to_world[2, 0] * across + first_z
            nearness = inverse[row, column]
            known = one if nearness > 0 else none
            depth = known / max(nearness, np.float32(1e-30))
            distances[column] = depth * math.sqrt(x * x + y * y + z * z)
            x, y, z = offset[0] + x * depth, offset[1] + y * depth, offset[2] + z * depth
            if sphere:
                share = turn - _angle(y, x) * (half / _PI)
                columns[column] = known * (share + one if share < 0 else share - one if share >= 1 else share)
                rows[column] = known * (half - _angle(z, math.sqrt(x * x + y * y)) * (one / _PI))
            else:
                depth = to_frame[2, 0] * x + to_frame[2, 1] * y + to_frame[2, 2] * z
                scale = known / (depth if depth > 0 else one)
                share = (to_frame[0, 0] * x + to_frame[0, 1] * y + to_frame[0, 2] * z) * scale
                columns[column] = min(max(share, none), one)
                share = (to_frame[1, 0] * x + to_frame[1, 1] * y + to_frame[1, 2] * z) * scale
                rows[column] = min(max(share, none), one)
        for column in range(width):
            distance[row, column] = distances[column]
            coords[row, column, 0] = columns[column]
            coords[row, column, 1] = rows[column]


@compiled
def sample_bytes(image, coords, known, top, bottom, sphere, sampled):
    """Bytes [h, w, C] at shares of their frame [H, W, 2], bilinear and rounded, into the rows top..bottom - 1 of
    `sampled` [H, W, C]; 0 where nothing is known [H, W]. Four channels take less time than three."""
    height, width, channels = image.shape
    count, half = coords.shape[1], np.float32(0.5)
    lefts, aboves, inside = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.bool_)
    across, down = np.empty(count, np.float32), np.empty(count, np.float32)
    for row in range(top, bottom):
        for column in range(count):  # without a branch, so that it vectorises
            x, y = coords[row, column, 0] * width - half, coords[row, column, 1] * height - half
            left, above = np.floor(x), np.floor(y)
            lefts[column], aboves[column] = np.int64(left), np.int64(above)
            across[column], down[column] = x - left, y - above
            inside[column] = (left >= 0) & (above >= 0) & (left < width - 1) & (above < height - 1)
        for column in range(count):
            right_share, below_share = across[column], down[column]
            if not known[row, column]:
                for k in range(channels):
                    sampled[row, column, k] = 0
                continue
            left, above = lefts[column], aboves[column]
            right, below = left + 1, above + 1
            left_above, right_above, left_below, right_below = left, right, left, right
            if not inside[column]:
                around = _around(left, above, height, width, sphere)
                above, left_above, right_above, below, left_below, right_below = around
            for k in range(channels):
                upper = np.float32(image[above, left_above, k])
                upper += (np.float32(image[above, right_above, k]) - upper) * right_share
                lower = np.float32(image[below, left_below, k])
                lower += (np.float32(image[below, right_below, k]) - lower) * right_share
                sampled[row, column, k] = np.uint8(upper + (lower - upper) * below_share + half)


@compiled
def _around(left, above, height, width, sphere):
    """Where the four pixels around a place beside an image's border are: row above, its two columns, row below, its."""
    right, below, turn = left + 1, above + 1, 0
    if sphere:
        left, right, turn = left % width, right % width, width // 2
    else:
        left, right = max(left, 0), min(right, width - 1)
    left_above, right_above, left_below, right_below = left, right, left, right
    # across a pole the sphere goes on half a turn away
    if above < 0:
        above, left_above, right_above = 0, (left + turn) % width, (right + turn) % width
    if below >= height:
        below, left_below, right_below = height - 1, (left + turn) % width, (right + turn) % width
    return above, left_above, right_above, below, left_below, right_below


@compiled
def beside(rows, columns, reach, colour, distance, known, found):
    """What lies around pixels [N] of a frame [H, W, 3] at most `reach` rows and columns away, the farther it is from
    the camera the more it counts, into `found` [N, 4]: colour and distance; 0 where nothing is known there."""
    height, width = distance.shape
    for place in range(len(rows)):
        red = green = blue = away = total = np.float32(0)
        for row in range(max(0, rows[place] - reach), min(height, rows[place] + reach + 1)):
            for column in range(max(0, columns[place] - reach), min(width, columns[place] + reach + 1)):
                if not known[row, column]:
                    continue
                weight = distance[row, column] * distance[row, column]
                weight *= weight
                red += weight * colour[row, column, 0]
                green += weight * colour[row, column, 1]
                blue += weight * colour[row, column, 2]
                away += weight * distance[row, column]
                total += weight
        share = np.float32(1) / total if total > 0 else np.float32(0)
        found[place, 0], found[place, 1], found[place, 2] = red * share, green * share, blue * share
        found[place, 3] = away * share


def warm_up() -> None:
    """Compiles everything here, or reads it from its cache: the first frame would otherwise wait for it."""
    inverse, coords = np.zeros((2, 2), np.float32), np.zeros((2, 2, 2), np.float32)
    square = np.eye(3, dtype=np.float32)
    points, box = np.ones((2, 2, 3), np.float32), np.ones((1, 2, 3), np.float32)
    draw(
        points,
        np.ones((1, 1), bool),
        np.zeros((0, 3, 3), np.float32),
        np.zeros(2, np.int64),
        box,
        np.eye(3, 4),
        0,
        2,
        inverse,
    )
    resolve(inverse, 0, 2, square, square[0], True, 0.0, square, inverse, coords)
    sampled = np.zeros((2, 2, 1), np.uint8)
    known = np.ones((2, 2), bool)
    sample_bytes(sampled, coords, known, 0, 2, True, sampled.copy())
    place = np.zeros(1, np.int64)
    beside(place, place, 1, np.zeros((2, 2, 3), np.uint8), inverse, known, np.zeros((1, 4), np.float32))
