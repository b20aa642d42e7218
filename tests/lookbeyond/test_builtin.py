"""The built-in weights are there; what they can do is the bench's to say (`dev.py test bench`)."""

from lookbeyond import presets


def test_they_are_there_and_small():
    preset = presets.get("builtin")
    assert preset.installed
    assert sum(path.stat().st_size for path in preset.folder.rglob("*.safetensors")) <= 66e6
    assert sum(path.stat().st_size for path in (preset.folder / "layout").rglob("*.safetensors")) <= 6e6
    assert (preset.folder / "README.md").exists()
