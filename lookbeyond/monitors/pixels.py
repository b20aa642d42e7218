"""What the monitors do pixel by pixel, compiled: each of a frame's many small steps would cost a call of a library."""

import math

import numpy as np

from lookbeyond.compiling import compiled


@compiled
def shrink(lines, step, shrunk):
    """Means of blocks of step x step pixels, rounded, into `shrunk` [h, 3 w].

    lines: [H, 3 W] bytes, the rows of an image with at least step times as many rows and columns.
    """
    height, width = shrunk.shape[0], shrunk.shape[1] // 3
    sums, blocks = np.empty(3 * width * step, np.int32), np.empty(3 * width, np.int32)
    share, half = np.float32(1 / step**2), np.float32(0.5)
    for row in range(height):
        for x in range(len(sums)):
            sums[x] = lines[row * step, x]
        for y in range(row * step + 1, (row + 1) * step):
            for x in range(len(sums)):
                sums[x] = sums[x] + np.int32(lines[y, x])
        at = 0
        for column in range(width):
            red = green = blue = np.int32(0)
            for _ in range(step):
                red += sums[at]
                green += sums[at + 1]
                blue += sums[at + 2]
                at += 3
            blocks[3 * column], blocks[3 * column + 1], blocks[3 * column + 2] = red, green, blue
        for x in range(3 * width):
            shrunk[row, x] = np.uint8(np.int32(np.float32(blocks[x]) * share + half))


@compiled
def tone_between(colour, reference, judged, every):
    """Medians [3] of what is added to `reference` in `colour` [h, w, 3], over one in `every` of the judged pixels."""
    height, width = judged.shape
    found = np.zeros((3, 511), np.int64)  # how often each difference, from -255 on
    wait = count = 0
    for row in range(height):
        for column in range(width):
            if not judged[row, column]:
                continue
            if wait == 0:
                wait = every
                count += 1
                for k in range(3):
                    found[k, 255 + np.int64(colour[row, column, k]) - np.int64(reference[row, column, k])] += 1
            wait -= 1
    tone = np.empty(3)
    for k in range(3):
        lower = _of_rank(found[k], (count - 1) // 2)
        tone[k] = (lower + _of_rank(found[k], count // 2)) / 2 - 255
    return tone


@compiled
def _of_rank(found, rank):
    """The value of this rank, from 0, of so many of each value."""
    value = 0
    while found[value] <= rank:
        rank -= found[value]
        value += 1
    return value


@compiled
def lengths(across, down, scale, found):
    """Lengths of vectors, across and down [h, w], times `scale`, into `found`."""
    height, width = found.shape
    for row in range(height):
        for column in range(width):
            x, y = np.float32(across[row, column]), np.float32(down[row, column])
            found[row, column] = math.sqrt(x * x + y * y) * scale


@compiled
def shifted(expected, shown, slope, inside, off_px, texture, share, least, differences, found):
    """Into `found` [h, w]: which pixels inside have texture and differ as if they were shifted by more than `off_px`.

    differences: [h, w], is filled where there is texture: of the channel that differs most. How many pixels have
    texture, and how many were found.
    """
    height, width = inside.shape
    textured = count = 0
    for row in range(height):
        for column in range(width):
            steep = slope[row, column]
            if not (inside[row, column] and steep > texture):
                found[row, column] = False
                continue
            most = 0
            for k in range(3):
                most = max(most, abs(np.int64(expected[row, column, k]) - np.int64(shown[row, column, k])))
            differences[row, column] = most
            differs = np.float32(most) >= max(share * steep * off_px[row, column], least)
            found[row, column] = differs
            textured += 1
            count += differs
    return textured, count


@compiled
def texels(distance, to_rays, offset, pixels_m, every, found):
    """For one in `every` rows and columns of distances [h, w]: how many pixels of the camera a length `pixels_m` pixels
    wide one metre before it covers, once it is seen from elsewhere, into `found`.

    to_rays: [3, 3], from pixels (column, row, 1) to rays; offset: [3] of the camera from there, in its own axes.
    """
    height, width = found.shape
    zero, one, half, nearest = np.float32(0), np.float32(1), np.float32(0.5), np.float32(1e-3)
    square = offset[0] * offset[0] + offset[1] * offset[1] + offset[2] * offset[2]
    for row in range(height):
        down = np.float32(row * every) + half
        for column in range(width):
            across = np.float32(column * every) + half
            x = to_rays[0, 0] * across + to_rays[0, 1] * down + to_rays[0, 2]
            y = to_rays[1, 0] * across + to_rays[1, 1] * down + to_rays[1, 2]
            z = to_rays[2, 0] * across + to_rays[2, 1] * down + to_rays[2, 2]
            along = (x * offset[0] + y * offset[1] + z * offset[2]) / math.sqrt(x * x + y * y + z * z)
            nearness = one / max(distance[row * every, column * every], nearest)
            # the law of cosines: how far away it is from there, in distances from the camera
            farther = one + (along + along + square * nearness) * nearness
            found[row, column] = pixels_m * math.sqrt(max(farther, zero))


@compiled
def flicker(distance, grey, to_rays, before_distance, before_grey, to_before, offset, before, same_surface, levels):
    """How many of a frame's surfaces [h, w] the frame before shows, too, and how many of these are another grey there.

    to_rays: [3, 3], from pixels (column, row, 1) to rays one metre deep; to_before: [3, 3], from them to pixels of the
    frame before, times depth; offset: [3], of points, in those pixels; before: [3], where the camera before stands, in
    this one's axes.
    """
    height, width = distance.shape
    half, one, nearest = np.float32(0.5), np.float32(1), np.float32(1e-3)
    columns, rows, away = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    shown = changed = 0
    for row in range(height):
        down = np.float32(row) + half
        for column in range(width):
            across = np.float32(column) + half
            x = to_rays[0, 0] * across + to_rays[0, 1] * down + to_rays[0, 2]
            y = to_rays[1, 0] * across + to_rays[1, 1] * down + to_rays[1, 2]
            z = to_rays[2, 0] * across + to_rays[2, 1] * down + to_rays[2, 2]
            depth = distance[row, column] / math.sqrt(x * x + y * y + z * z)
            x, y, z = x * depth - before[0], y * depth - before[1], z * depth - before[2]
            away[column] = math.sqrt(x * x + y * y + z * z)
            x = (to_before[0, 0] * across + to_before[0, 1] * down + to_before[0, 2]) * depth + offset[0]
            y = (to_before[1, 0] * across + to_before[1, 1] * down + to_before[1, 2]) * depth + offset[1]
            z = (to_before[2, 0] * across + to_before[2, 1] * down + to_before[2, 2]) * depth + offset[2]
            share = one / max(z, nearest)
            # of pixel centres; behind the camera nothing is in its frame
            columns[column] = x * share - half if z > nearest else -one
            rows[column] = y * share - half
        for column in range(width):
            x, y = columns[column], rows[column]
            if not (-half <= x < width - half and -half <= y < height - half) or distance[row, column] == 0:
                continue
            there = before_distance[int(np.rint(y)), int(np.rint(x))]
            if abs(there - away[column]) >= same_surface * away[column]:
                continue
            left, above = math.floor(x), math.floor(y)
            right_share, below_share = x - np.float32(left), y - np.float32(above)
            right, below = min(left + 1, width - 1), min(above + 1, height - 1)
            left, above = max(left, 0), max(above, 0)
            upper, lower = np.float32(before_grey[above, left]), np.float32(before_grey[below, left])
            upper += (np.float32(before_grey[above, right]) - upper) * right_share
            lower += (np.float32(before_grey[below, right]) - lower) * right_share
            was = math.floor(upper + (lower - upper) * below_share + half)
            shown += 1
            changed += abs(was - np.int64(grey[row, column])) >= levels
    return shown, changed


def warm_up() -> None:
    """Compiles everything here, or reads it from its cache: the first frame would otherwise wait for it."""
    image, grey, distance = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8), np.ones((2, 2), np.float32)
    square = np.eye(3, dtype=np.float32)
    shrink(image.reshape(2, 6), 2, np.zeros((1, 3), np.uint8))
    tone_between(image, image, np.ones((2, 2), bool), 1)
    lengths(grey.astype(np.int16), grey.astype(np.int16), np.float32(1), distance.copy())
    shifted(image, image, distance, grey > 0, distance, *np.ones(3, np.float32), grey.copy(), grey > 0)
    texels(distance, square, square[0], np.float32(1), 1, distance.copy())
    flicker(distance, grey, square, distance, grey, square, square[0], square[0], np.float32(1), 1)
