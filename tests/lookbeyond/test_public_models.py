"""The benchmark of this year's public models, as far as a processor can tell: what is counted, and that it runs."""

import json

import pytest

from benchmarks import gpu, public_models
from lookbeyond import presets


def test_the_levers_do_a_third_of_the_work_at_the_same_masks():
    """17 frames of 480 x 832 and the walk to their second anchor; the network alone, counted without data."""
    pipeline = public_models.planner()
    clips = public_models.clips_of_a_walk(pipeline, 17, public_models.HEIGHT, public_models.WIDTH)
    assert [len(clip.known) for clip in clips] == [17, 17] and 0.1 < 1 - float(clips[0].known.mean()) < 0.3
    work = {name: public_models.work_of(setup, clips, pipeline) for name, setup in public_models.setups()}
    counted = [public_models.flops_of(work[name], "vace", "transformer") for name, _ in public_models.LEVERS]
    alone, fused, *rest = counted
    assert fused == pytest.approx(1.5 * alone)  # the clip is made twice, the walk to the anchor once
    assert rest == sorted(rest, reverse=True) and rest[-1] < alone / 3
    shipped = public_models.setups()[-1][1]
    preset = presets.get("vace")
    settings = preset.stages["views"].settings
    assert (shipped.steps, shipped.strength, shipped.strength_in_holes, shipped.guidance_scale) == (
        preset.views_steps,
        preset.strength,
        preset.strength_in_holes,
        preset.max_guidance_scale,
    )
    assert (shipped.fusion, shipped.skip) == (settings["fusion"], settings["skip"])


def test_what_is_counted_is_what_is_done_and_the_gpus_program_has_both(tmp_path, capsys):
    """Tiny networks; that the forwards are those counted is asserted by the program itself."""
    gpu.main(["--tiny", "--device", "cpu", "--no-compile", "--tables", "public", "--json", str(tmp_path / "a.json")])
    made = json.loads((tmp_path / "a.json").read_text())["public"]
    assert set(made["vace"]) == {name for name, _ in public_models.LEVERS} and made["flux-klein-360"]["seconds"] > 0
    assert "one clip of 9 frames" in capsys.readouterr().out
