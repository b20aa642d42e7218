"""Cameras, projection, panoramas, warping and keyframes in one convention. Needs numpy and nothing else."""
