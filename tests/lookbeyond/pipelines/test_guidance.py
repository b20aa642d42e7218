"""What is filled into holes before anything is made."""

import pytest
import torch

from lookbeyond.pipelines.guidance import Guidance

RED, BLUE = torch.tensor([0.8, -0.8, -0.8]), torch.tensor([-0.8, -0.8, 0.8])


def chair_before_a_wall(height: int, width: int) -> Guidance:
    """Left a red chair at 1 m, right a blue wall at 4 m, between them what the chair hid."""
    columns = torch.arange(width) / width
    chair, hole = columns < 0.4, (columns >= 0.4) & (columns < 0.6)
    colour = torch.where(chair, RED[:, None], BLUE[:, None])[None, :, None].expand(1, 3, height, width)
    distance = torch.where(chair, 1.0, 4.0)[None, None, None].expand(1, 1, height, width)
    known = (~hole).float()[None, None, None].expand(1, 1, height, width)
    return Guidance(colour * known, distance * known, known)


@pytest.mark.parametrize("height, width", [(64, 96), (301, 577)])
def test_what_an_edge_hid_is_what_lies_behind_it(height, width):
    guidance = chair_before_a_wall(height, width)
    filled = guidance.filled()
    hole = (guidance.known == 0).expand_as(filled.colour)
    torch.testing.assert_close(filled.colour[hole].view(3, -1).mean(1), BLUE, atol=0.05, rtol=0)
    torch.testing.assert_close(filled.distance[guidance.known == 0].mean(), torch.tensor(4.0), atol=0.05, rtol=0)
    assert (filled.colour[hole].view(3, -1) - BLUE[:, None]).abs().max() < 0.1, "none of the chair's red"


def test_known_pixels_stay_and_made_ones_stay_in_range():
    torch.manual_seed(0)
    known = (torch.rand(2, 1, 40, 50) < 0.7).float()
    guidance = Guidance(torch.rand(2, 3, 40, 50) * 2 - 1, torch.rand(2, 1, 40, 50) * 3 + 1, known)
    filled = guidance.filled()
    assert torch.equal(filled.colour * known, guidance.colour * known)
    assert torch.equal(filled.distance * known, guidance.distance * known)
    assert filled.colour.abs().max() <= 1 and filled.distance.min() >= 1 and filled.distance.max() <= 4


def test_frames_without_holes_or_without_anything_known_stay_finite():
    for known in (torch.ones(1, 1, 20, 30), torch.zeros(1, 1, 20, 30)):
        filled = Guidance(torch.rand(1, 3, 20, 30) * known, torch.ones(1, 1, 20, 30) * known, known).filled()
        assert filled.colour.isfinite().all() and filled.distance.isfinite().all()
