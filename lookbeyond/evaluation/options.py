"""Options that the bench and the study share."""

import argparse
from pathlib import Path

import torch


def parser_of(command: str, about: str, *, quick: str, full: str) -> argparse.ArgumentParser:
    """A parser with --out, the size (its help is `quick` and `full`), and what places and models to take."""
    parser = argparse.ArgumentParser(
        prog=f"lookbeyond {command}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help=quick)
    size.add_argument("--full", action="store_true", help=full)
    parser.add_argument("--rooms", type=int, help="how many held-out rooms (16)")
    parser.add_argument("--panoramas", type=Path, help="folder of real panoramas")
    parser.add_argument(
        "--perceptual", type=Path, help="folder of the networks of LPIPS, FID and FVD (docs/research/bench.md)"
    )
    parser.add_argument("--preset", default="builtin")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser
