"""The benchmark for a GPU, as far as a processor can tell: what is counted, and that all of it runs."""

import json

import pytest

from benchmarks import gpu
from lookbeyond import presets


def test_the_shipped_preset_does_an_eighth_of_the_published_work():
    """100 frames of 576 x 1024, anchors and the autoencoder included; a GPU's times are another matter."""
    counted = gpu.count_flops((576, 1024), 100)
    first, ours = counted[gpu.BASELINE], counted["preset svd-xt, all known"]
    assert first["UNet"] / ours["UNet"] > 10 and first["all"] / ours["all"] > 8
    # the published description's own figure
    assert gpu.flops(True, "UNet", 25, 576, 1024) / 1e12 == pytest.approx(80.0, rel=0.02)
    preset, all_levers = presets.get("svd-xt"), dict(gpu.setups(gpu.Setup()))["all"]
    assert (all_levers.steps, all_levers.strength) == (preset.views_steps, preset.strength)
    assert all_levers.guidance_scale == preset.max_guidance_scale == 1


def test_every_table_is_made_at_tiny_size(tmp_path, capsys):
    """The same program as on a GPU but for compiling; it asserts for itself that the work done is the work counted."""
    gpu.main(["--tiny", "--device", "cpu", "--json", str(tmp_path / "a.json"), "--markdown", str(tmp_path / "a.md")])
    report = json.loads((tmp_path / "a.json").read_text())
    clip = report["clip"]
    assert report["tiny"] and clip["all that keep the result"]["flops"] == clip[gpu.BASELINE]["flops"]
    assert set(report["shot"]) == {gpu.BASELINE, "all that keep the result", "all"}
    assert len(report["panorama"]) == 2 and report["matrix_product_flops"] > 0
    table = (tmp_path / "a.md").read_text()
    assert table.count("|---") >= 3 and "all that keep the result" in table
    assert "still to be measured" in capsys.readouterr().out


def test_tables_are_made_one_by_one_too(tmp_path):
    gpu.main(["--tiny", "--device", "cpu", "--tables", "panorama", "--json", str(tmp_path / "a.json")])
    report = json.loads((tmp_path / "a.json").read_text())
    assert "panorama" in report and not {"clip", "shot"} & set(report)
