"""Surfaces carried on into a spot: in the light of what is around it, with the clean plate's pattern."""

import cv2
import numpy as np
from numpy.typing import NDArray

CLEAN = 8
"""Of 255: what is around shows the surface itself where it differs from the plate by no more."""
LEAST_CLEAN = 0.2
"""Share of a surface around the spot; where less agrees with the plate, the plate's light is thought to be off."""
MARGIN = 1 / 24
"""Of the panorama's width: how far around the spot surfaces are looked at."""
CELLS = 160
"""Longer side, in cells, of the grid on which light is continued."""
LIGHT = 1.5
"""Cells over which light is told from pattern (standard deviation)."""
PATTERN, RIM_PATTERN = 0.95, 0.5
"""Quantiles of a surface's own pattern that what is carried on may not exceed: anywhere, and along the outline of what
stood there, whose own rim the plate may still hold."""
BELIEF = 10.0
"""Cells from what is seen around the spot at which the plate's light counts as much as that."""
RIM_PX = 4
"""Width of that outline in a panorama 1024 wide."""


def filled(
    colour: NDArray[np.uint8], plate: NDArray[np.uint8], spot: NDArray[np.bool_], face: NDArray[np.int16]
) -> NDArray[np.uint8]:
    """A panorama [H, W, 3] with its spot [H, W] filled from the clean plate [H, W, 3].

    face: [H, W], the plate's surfaces.

    What the plate shows of the picture itself may hold the shadow of what stood there, and there is a step where drawn
    surfaces begin. So the light of each surface is solved for (Pérez et al. 2003): around the spot it is what is
    seen there, it changes as that of the drawn surface does, and far inside it is that. It does not cross the edges
    between surfaces.
    """
    turn, window = _window(spot)
    parts = [np.roll(each, -turn, 1)[window] for each in (colour, plate, spot, face)]
    result = np.roll(colour, -turn, 1)
    result[window] = _filled(*parts, max(1, round(RIM_PX * spot.shape[1] / 1024)))
    return np.roll(result, turn, 1)


def _window(spot: NDArray[np.bool_]) -> tuple[int, tuple[slice, slice]]:
    """Columns to turn a panorama by so that its spot does not lie across the seam; and then what lies around it."""
    width = spot.shape[1]
    margin = round(MARGIN * width)
    columns = np.flatnonzero(spot.any(0))
    gaps = np.diff(columns, append=columns[0] + width)
    widest = int(gaps.argmax())
    first = int(columns[(widest + 1) % len(columns)])
    span = width - int(gaps[widest]) + 1
    turn = (first - margin) % width
    rows = np.flatnonzero(spot.any(1))
    return turn, np.s_[max(0, rows[0] - margin) : rows[-1] + 1 + margin, : min(width, span + 2 * margin)]


def _filled(colour: NDArray, plate: NDArray, spot: NDArray, face: NDArray, rim_px: int) -> NDArray[np.uint8]:
    result = np.where(spot[..., None], plate, colour)
    change = colour.astype(np.int16) - plate
    drawn = np.abs(change).max(-1) > CLEAN
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim_px + 1,) * 2)
    rim = (cv2.dilate(drawn.astype(np.uint8), kernel) > 0) & ~drawn
    step = max(1, -(-max(spot.shape) // CELLS))
    believed = drawn | _reaching(spot & ~drawn & ~rim, ~spot)
    believed |= rim & (cv2.dilate((believed & ~drawn).astype(np.uint8), kernel) > 0)
    for number in np.unique(face[spot]):
        own = face == number
        inside, outside = own & spot, own & ~spot
        usual = _usual(change[outside])
        around = outside & (np.abs(change - usual).max(-1) <= CLEAN)
        made = inside & drawn
        light = _continued(colour, (plate + usual) * made[..., None], around, inside, made, step)
        if light is None:  # nothing around shows this surface: the plate is all that is known
            continue
        pattern = (plate - _blurred(plate, own, LIGHT * step)) * (believed | ~spot)[..., None]
        shown = np.abs(pattern[around])
        most = np.where(rim[..., None], np.quantile(shown, RIM_PATTERN, 0), np.quantile(shown, PATTERN, 0))
        whole = light + np.clip(pattern, -most, most)
        result[inside] = np.clip(whole + 0.5, 0, 255)[inside].astype(np.uint8)
    return result


def _reaching(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pieces of a mask that touch another one. What of the picture does not reach the spot's edge is no surface,
    but a remainder of what stood there."""
    _, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    beside = cv2.dilate(other.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return mask & np.isin(pieces, np.unique(pieces[mask & beside]))


def _usual(change: NDArray) -> NDArray:
    """How much lighter a surface is than the plate says, [3], of pixels [n, 3], many of which show something else."""
    if not len(change) or (np.abs(change).max(-1) <= CLEAN).mean() > LEAST_CLEAN:
        return np.zeros(3)
    return np.median(change, 0)


def _continued(
    colour: NDArray, plate: NDArray, around: NDArray, inside: NDArray, drawn: NDArray, step: int
) -> NDArray[np.float32] | None:
    """The light [h, w, 3] of a surface that is seen `around` a part `inside` of it; None where none is seen.

    It changes as the plate's does, where that was `drawn`; plate is 0 elsewhere.
    """
    cells = _block_mean(np.dstack([colour * around[..., None], around, inside]), step)
    believed = _block_mean(np.dstack([plate, drawn]), step)
    blurred = cv2.GaussianBlur(cells[..., :4], (0, 0), LIGHT)
    known = (cells[..., 3] > 0.3) & (cells[..., 4] == 0)
    wanted = cells[..., 4] > 0
    reached = _reached(known, wanted)
    if not reached.any():
        return None
    values = blurred[..., :3] / np.maximum(blurred[..., 3:], 1e-6)
    guided = reached & (believed[..., 3] > 0.7)
    guide = believed[..., :3] / np.maximum(believed[..., 3:], 1e-6)
    solved = _harmonic(values, known, reached, guide, guided)
    return _enlarged(solved, known | reached, step)[: around.shape[0], : around.shape[1]]


def _block_mean(values: NDArray, step: int) -> NDArray[np.float32]:
    """Values [h, w, C] averaged over cells of step x step pixels; beyond the picture they are 0."""
    height, width = (-(-size // step) for size in values.shape[:2])
    whole = np.zeros((height * step, width * step, values.shape[2]), np.float32)
    whole[: values.shape[0], : values.shape[1]] = values
    return whole.reshape(height, step, width, step, -1).mean((1, 3))


def _reached(known: NDArray, wanted: NDArray) -> NDArray[np.bool_]:
    """The wanted cells that are connected with known ones."""
    _, pieces = cv2.connectedComponents((known | wanted).astype(np.uint8), connectivity=4)
    return wanted & np.isin(pieces, np.unique(pieces[known]))


def _harmonic(values: NDArray, known: NDArray, wanted: NDArray, guide: NDArray, guided: NDArray) -> NDArray[np.float32]:
    """Values [h, w, C] of the known cells, and in the wanted ones the mean of their neighbours among both.

    Between guided cells they change as the guide [h, w, C] does, and far from known ones they are the guide.
    """
    from scipy.sparse import coo_array, diags_array  # the service, which only checks masks, does without
    from scipy.sparse.linalg import splu

    index = np.full(known.shape, -1)
    index[wanted] = np.arange(wanted.sum())
    count, bands = int(wanted.sum()), values.shape[-1]
    degree, right = np.zeros(count), np.zeros((count, bands))
    rows, columns = [], []
    for axis in (0, 1):
        for here, there in ((np.s_[:-1], np.s_[1:]), (np.s_[1:], np.s_[:-1])):
            a, b = (here, there) if axis == 0 else ((slice(None), here), (slice(None), there))
            one, other, fixed = index[a], index[b], known[b]
            slope = guided[a] & guided[b]
            np.add.at(right, one[slope], (guide[a] - guide[b])[slope])
            link = (one >= 0) & ((other >= 0) | fixed)
            np.add.at(degree, one[link], 1)
            both = link & (other >= 0)
            rows.append(one[both])
            columns.append(other[both])
            edge = link & fixed
            np.add.at(right, one[edge], values[b][edge])
    belief = guided[wanted] / BELIEF**2
    degree += belief
    right += belief[:, None] * guide[wanted]
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    links = coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    result = values.astype(np.float32).copy()
    result[wanted] = splu((diags_array(degree) - links).tocsc()).solve(right)
    return result


def _blurred(image: NDArray, mask: NDArray, sigma: float) -> NDArray[np.float32]:
    weights = np.dstack([image.astype(np.float32) * mask[..., None], mask]).astype(np.float32)
    weights = np.asarray(cv2.GaussianBlur(weights, (0, 0), sigma), np.float32)
    return np.asarray(weights[..., :-1] / np.maximum(weights[..., -1:], 1e-6), np.float32)


def _enlarged(cells: NDArray, known: NDArray, step: int) -> NDArray[np.float32]:
    """Cells [h, w, 3], known on a mask, as pixels; no unknown one counts."""
    weights = np.dstack([cells * known[..., None], known]).astype(np.float32)
    weights += 1e-4 * cv2.GaussianBlur(weights, (0, 0), 2.0)
    weights = np.asarray(cv2.resize(weights, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR), np.float32)
    return np.asarray(weights[..., :-1] / np.maximum(weights[..., -1:], 1e-9), np.float32)
