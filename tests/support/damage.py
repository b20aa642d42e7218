"""What a power cut, a bad sector or a half-done copy makes of a file."""

import random
from pathlib import Path

KINDS = ("cut short", "zeros", "empty", "a bit")


def damage(path: Path, kind: str, rng: random.Random) -> None:
    """Damage a file in place, as a disk does: the same inode, so that hard links to it are damaged too."""
    content = bytearray(path.read_bytes())
    if kind == "cut short":
        del content[len(content) // 2 :]
    elif kind == "zeros":
        content = bytearray(len(content))
    elif kind == "empty":
        content.clear()
    elif content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
