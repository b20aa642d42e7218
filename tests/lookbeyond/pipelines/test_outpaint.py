"""Outpainting: the geometry by a filler that knows the truth, the pipelines by tiny random networks."""

import json
import math
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from lookbeyond import presets
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import equirectangular_directions, extract_perspective, place_photo
from lookbeyond.pipelines.loading import load_stage
from lookbeyond.pipelines.outpaint import GREEN, OutpaintPipeline, on_canvas
from lookbeyond.pipelines.panorama import PanoramaPipelineOutput
from lookbeyond.pipelines.sphere import (
    covering_cameras,
    even_poles,
    fill_views,
    in_view,
    keep_light,
    plan_views,
)
from lookbeyond.presets import weights
from tests.support.tiny_public import (
    tiny_depth_anything,
    tiny_fill,
    tiny_inpainting,
    tiny_klein,
    tiny_klein_base,
    tiny_xl,
)

HEADING = 0.6


def truth(width: int, heading_rad: float = 0.0) -> np.ndarray:
    """A smooth coloured sphere, the same seen from any side: waves of 15 degrees and more."""
    rng = np.random.default_rng(1)
    waves, phases = rng.normal(size=(3, 8, 3)) * 6, rng.uniform(0, 6, (3, 8))
    directions = equirectangular_directions(width, width // 2, heading_rad)
    values = np.cos(np.einsum("hwd,ckd->hwck", directions, waves) + phases).mean(-1)
    return np.clip(values * 150 + 128, 0, 255).astype(np.float32)


class DepthEstimator:
    """A distance of two metres everywhere."""

    def measure(self, colour, *, camera_height=1.6, heading_rad=0.0, origin=(0, 0, 0), **_):
        distance = np.full((32, 64), 2.0, np.float32)
        photo = np.zeros(colour.shape[:2], np.uint8)
        return PanoramaPipelineOutput(
            panorama=Panorama(colour, distance, photo, heading_rad=heading_rad, distance_model="two metres")
        )


class Oracle(OutpaintPipeline):
    """Paints what is really there, in the same views."""

    def __init__(self):
        super().__init__(None, DepthEstimator())
        self.world, self.calls = truth(2048), []

    def _inpaint(self, image, holes, prompt, where, progress, options):
        self.calls.append((where, holes.mean(), prompt))
        if isinstance(where, int):
            return np.roll(truth(image.shape[1], HEADING), -where, 1)
        return extract_perspective(self.world, where, interpolation="cubic")


@pytest.mark.parametrize(
    "way, size, fov, pitch, roll", [("views", 128, 75, 0, 0), ("views", 128, 80, 65, 8), ("canvas", 200, 70, -10, 5)]
)
def test_a_filler_that_knows_the_truth_gives_the_truth_all_around(way, size, fov, pitch, roll):
    pose = {"pitch_rad": math.radians(pitch), "roll_rad": math.radians(roll)}
    camera = placed_camera(256, 192, math.radians(fov), heading_rad=HEADING, **pose)
    oracle = Oracle()
    photo = np.clip(extract_perspective(oracle.world, camera, interpolation="cubic") + 0.5, 0, 255).astype(np.uint8)
    whole = oracle.paint(partial(on_canvas, photo, camera), HEADING, way=way, size=size)
    error = np.abs(whole.astype(float) - truth(whole.shape[1], HEADING)).max(-1)
    seam, poles = error[:, [0, 1, -2, -1]].max(), error[[0, 1, -2, -1]].max()
    print(f"{way}: {len(oracle.calls)} pictures, error of 255: {error.max():.2f}, seam {seam:.2f}, poles {poles:.2f}")
    assert error.max() < 3 and error.mean() < 0.6
    # far fewer pictures than views that cover the sphere are wasted, none without a hole
    assert all(share > 0 for _, share, _ in oracle.calls)


def test_the_photo_stands_in_the_panorama_at_its_own_resolution():
    camera = placed_camera(256, 192, math.radians(75), heading_rad=HEADING)
    photo = np.random.default_rng(0).integers(0, 255, (12, 16, 3)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    panorama = Oracle()(photo, camera, width=1024, way="canvas", size=64).panorama
    own = extract_perspective(panorama.from_photo, camera, HEADING) == 255
    seen = extract_perspective(panorama.colour, camera, HEADING)
    flat = np.abs(np.diff(photo.astype(int), axis=1, append=0)).max(-1) == 0  # away from the squares' borders
    inside = own & flat & np.roll(flat, 1, 1) & np.roll(flat, -1, 1)
    assert own.mean() > 0.9 and np.median(np.abs(seen.astype(int) - photo)[inside]) <= 1
    assert panorama.distance_model == "two metres" and panorama.photo_camera is camera


@pytest.mark.parametrize(
    "prompt, level, up, down",
    [("", "a place", "a ceiling", "a floor"), ("a barn", "a barn", "a ceiling, a barn", "a floor, a barn")],
)
def test_what_the_place_is_said_to_be_reaches_every_view(prompt, level, up, down):
    """The artist's words go before the preset's; views of the ceiling and the floor keep the preset's own beside."""
    oracle = Oracle()
    oracle.settings = {"size": 64, "prompt": "a place", "prompt_up": "a ceiling", "prompt_down": "a floor"}
    camera = placed_camera(64, 48, math.radians(75))
    oracle(np.zeros((48, 64, 3), np.uint8), camera, width=512, prompt=prompt)
    for view, _, words in oracle.calls:
        upwards = view.forward[2]
        assert words == (up if upwards > 0.6 else down if upwards < -0.6 else level)
    assert {words for *_, words in oracle.calls} == {level, up, down}


@pytest.mark.parametrize("fov", [60, 75, 90, 100])
def test_every_direction_is_well_inside_some_view(fov):
    directions = equirectangular_directions(256, 128)
    seen = [in_view(c, directions, margin=8)[2] for c in covering_cameras(128, math.radians(fov), 0.3)]
    assert np.any(seen, 0).all()
    assert len(seen) < 80


def test_views_go_outwards_from_what_is_known_and_end_with_everything():
    cameras = covering_cameras(64, math.radians(90))
    known = np.zeros((128, 256), bool)
    known[45:85, 100:156] = True
    order = plan_views(known, cameras)
    assert order[0].forward[0] > 0.99  # where the photo is
    # each view that is painted knows a part of its picture already
    for camera in order:
        assert extract_perspective(known.astype(np.float32), camera).mean() > 0.05
        known |= in_view(camera, equirectangular_directions(256, 128))[2]
    assert known.all() and len(order) <= len(cameras)
    assert not plan_views(np.ones((128, 256), bool), cameras)


def test_a_filler_that_tints_is_corrected_and_known_pixels_are_kept():
    world = truth(256)
    known = np.zeros((128, 256), bool)
    known[30:98, 60:190] = True
    image = np.clip(world + 0.5, 0, 255).astype(np.uint8)
    tinted = keep_light(world * 0.9 + 20, image, known)
    before, after = np.abs(world * 0.9 + 20 - world), np.abs(tinted - world)
    assert after[known].mean() < 0.35 * before[known].mean() and after.mean() < 0.6 * before.mean()
    cameras = plan_views(known, covering_cameras(64, math.radians(90)))

    def noise(picture, holes, camera):
        return np.random.default_rng(0).uniform(0, 255, picture.shape)

    filled = fill_views(image, known, cameras, noise)
    assert np.array_equal(filled[known], image[known]) and filled[~known].std() > 30


TINY = {
    "sd": (tiny_inpainting, {}),
    "sdxl": (tiny_xl, {}),
    "flux-klein-360": (tiny_klein_base, {"max_sequence_length": 16, "text_encoder_out_layers": (1, 2, 3)}),
    "flux-klein": (tiny_klein, {"max_sequence_length": 16, "text_encoder_out_layers": (1, 2, 3)}),
    "flux-fill": (tiny_fill, {"max_sequence_length": 16}),
}
"""What stands for each preset's weights, and what their size changes in its settings."""


@pytest.mark.parametrize("name", TINY)
def test_every_shipped_preset_paints_from_a_folder_in_the_hubs_layout(name, tmp_path, monkeypatch):
    """The preset's own file and settings, and tiny networks of its classes; no part that it does not name is there."""
    build, more = TINY[name]
    monkeypatch.setenv("LOOKBEYOND_PRESETS_DIR", str(tmp_path))
    values = json.loads((presets.ROOT / name / "preset.json").read_text("utf-8"))
    stage = values["stages"]["panorama"]
    component = stage["components"]["inpaint"]
    inpaint = build()
    assert component["loads"] == f"diffusers.{type(inpaint).__name__}"
    inpaint.save_pretrained(tmp_path / "mine/inpaint", variant=component.get("variant"))
    fetched = weights.files(tmp_path / "mine/inpaint", presets.get(name).stages["panorama"].components["inpaint"])
    for path in set((tmp_path / "mine/inpaint").rglob("*")) - set(fetched):
        if path.is_file():
            path.unlink()  # a download would not bring it
    component |= {"hub": "", "folder": "inpaint"}
    if lora := stage["components"].get("lora"):
        lora |= {"hub": "", "folder": "lora"}  # it is not here, and does without
    if name == "flux-klein-360":  # which does not do without
        small = build().transformer
        small.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
        type(inpaint).save_lora_weights(tmp_path / "mine/lora", get_peft_model_state_dict(small))
        (tmp_path / "mine/lora/pytorch_lora_weights.safetensors").rename(tmp_path / "mine/lora" / lora["files"][0])
    stage["settings"] |= {"way": "canvas", "size": 64} | more
    tiny_depth_anything().save_pretrained(tmp_path / "mine/depth")
    model = {"loads": "transformers.AutoModelForDepthEstimation", "folder": "depth"}
    values["stages"]["distance"] = {"pipeline": "depth", "components": {"model": model}, "settings": {"size": 56}}
    (tmp_path / "mine/preset.json").write_text(json.dumps(values))
    preset = presets.get("mine")
    assert preset.missing == "" and preset.takes_prompt
    pipeline = load_stage(preset, "panorama", torch.float32)
    for part in pipeline.pipelines:
        part.set_progress_bar_config(disable=True)
    photo = np.random.default_rng(0).integers(0, 255, (96, 96, 3)).astype(np.uint8)
    first, again = (
        pipeline(
            photo,
            placed_camera(96, 96, 1.2),
            width=256,
            num_inference_steps=2,
            prompt="a boat shed",
            generator=torch.Generator().manual_seed(0),
        ).panorama
        for _ in range(2)
    )
    assert np.array_equal(first.colour, again.colour) and first.colour.std() > 10
    assert first.distance_model == "DepthAnythingForDepthEstimation" and np.isfinite(first.distance).all()


@pytest.mark.parametrize("way", ["views", "canvas"])
def test_a_diffusers_pipeline_paints_reports_and_repeats(way):
    inpaint = tiny_inpainting()
    inpaint.set_progress_bar_config(disable=True)
    pipeline = OutpaintPipeline(
        inpaint, DepthEstimator(), {"way": way, "size": 64, "guidance_scale": 1.0, "fov_deg": 100}
    )
    camera = placed_camera(96, 96, math.radians(80))
    photo = np.random.default_rng(0).integers(0, 255, (96, 96, 3)).astype(np.uint8)
    calls = []

    def build(seed):
        generator = torch.Generator().manual_seed(seed)
        return pipeline(
            photo,
            camera,
            width=256,
            num_inference_steps=2,
            generator=generator,
            callback_on_step_end=lambda p, i, t, state: calls.append((state["step"], state["steps"])),
        ).panorama

    with pytest.raises(InputError, match="takes no strenght"):
        OutpaintPipeline(inpaint, DepthEstimator(), {"strenght": 1.0})
    first = build(0)
    assert calls[-1][0] <= calls[-1][1] and [step for step, _ in calls] == list(range(1, len(calls) + 1))
    assert len({steps for _, steps in calls}) == 1
    assert np.array_equal(first.colour, build(0).colour)
    assert not np.array_equal(first.colour, build(1).colour)


@pytest.mark.parametrize("way, size", [("views", 128), ("canvas", 200)])
def test_a_part_of_a_sphere_is_completed_by_a_filler_that_knows_the_truth(way, size):
    """An empty nadir and a missing quarter; what is known stays as it is."""
    oracle = Oracle()
    if way == "canvas":  # its truth is turned, as this test's sphere then is
        oracle.world = truth(2048, HEADING)
    sphere = oracle.world if way == "views" else truth(2048, HEADING)
    colour = sphere.astype(np.uint8)
    known = np.ones((1024, 2048), bool)
    known[850:], known[:, 200:700] = False, False
    whole = oracle.complete(np.where(known[..., None], colour, np.uint8(0)), known, way=way, size=size)
    _height, width = whole.shape[:2]
    wanted = truth(width, HEADING if way == "canvas" else 0.0)
    error = np.abs(whole.astype(float) - wanted)
    assert np.median(error) < 2 and np.quantile(error, 0.99) < 12
    assert all(share > 0 for _, share, _ in oracle.calls)


class Canvas(OutpaintPipeline):
    """Fills a green canvas with what is really there, in a green light; keeps what it was shown."""

    def __init__(self, **settings):
        super().__init__(None, DepthEstimator())
        self.inpaint, self.masked, self.shown = self.fill, False, []
        self.settings = {"way": "canvas", "size": 200} | settings

    def fill(self, prompt, image, height, width, output_type, num_inference_steps, generator):
        self.shown.append((np.asarray(image), prompt))
        half = width // 2 if len(self.shown) % 2 == 0 else 0
        tinted = np.roll(truth(width, HEADING), -half, 1) * (0.9, 1.0, 0.9) + (0, 20, 0)
        return type("Output", (), {"images": [np.clip(tinted, 0, 255) / 255]})


GREEN_PIXEL = np.array(GREEN)


def test_on_a_green_canvas_each_photo_is_where_it_looks_and_the_green_cast_is_taken_off():
    pipeline, sphere = Canvas(trigger="Fill the green."), truth(2048, HEADING)
    colour, known = sphere.astype(np.uint8), np.zeros((1024, 2048), bool)
    for turn, pitch in ((0.0, 0.0), (1.2, 0.3), (3.0, -0.2), (4.6, 0.0)):
        camera = placed_camera(64, 48, math.radians(60), heading_rad=HEADING + turn, pitch_rad=pitch)
        known |= place_photo(np.full((48, 64, 3), 255, np.uint8), camera, 2048, HEADING)[1]
    whole = pipeline.complete(np.where(known[..., None], colour, np.uint8(0)), known, prompt="a square")
    (canvas, prompt), (seam, _) = pipeline.shown
    assert prompt == "Fill the green. a square" and canvas.shape == (200, 400, 3)
    small = cv2.resize(known.astype(np.float32), (400, 200), interpolation=cv2.INTER_AREA) > 0.999
    assert (canvas[~small] == GREEN_PIXEL).all() and not (canvas[small] == GREEN_PIXEL).all(-1).any()
    wanted = truth(400, HEADING)
    assert np.abs(canvas[small] - wanted[small]).max() < 8
    empty = (seam == GREEN_PIXEL).all(-1)
    assert empty[:, 180:220].mean() > 0.5 and not empty[:, :150].any() and not empty[:, 250:].any()
    error = np.abs(whole.astype(float) - wanted)
    assert np.median(error) < 2.5 and np.quantile(error, 0.99) < 16
    assert np.abs(whole[:, 0].astype(float) - whole[:, -1]).mean() < 4  # the seam


def test_the_rows_at_the_poles_have_no_more_detail_than_a_sphere():
    noise = np.random.default_rng(0).integers(0, 255, (128, 256, 3)).astype(np.uint8)
    fixed = np.zeros((128, 256), bool)
    fixed[:, :40] = True
    even = even_poles(noise, fixed)
    assert np.array_equal(even[30:98], noise[30:98]) and np.array_equal(even[fixed], noise[fixed])
    assert noise[0].std() > 70 and max(even[row, 40:].astype(float).std(0).max() for row in (0, -1)) < 18
    assert np.allclose(even_poles(np.full_like(noise, 77), fixed), 77)


def test_green_in_a_photo_and_a_way_without_a_mask_are_refused():
    photo, camera = np.full((48, 64, 3), 100, np.uint8), placed_camera(64, 48, 1.2)
    photo[10:20, 10:20] = 20, 250, 30
    with pytest.raises(InputError, match=r"of the photo is the pure green .*choose another preset .*flux-klein"):
        Canvas()(photo, camera, width=512)
    with pytest.raises(InputError, match=r'Flux2KleinPipeline takes no mask; correct the preset: .* "canvas"'):
        OutpaintPipeline(tiny_klein_base(), DepthEstimator(), {"way": "views"})


def test_a_lora_of_another_model_is_refused_by_name(tmp_path):
    from lookbeyond.pipelines.loading import _add_lora
    from lookbeyond.presets import Component
    from tests.support.tiny import wan_vace

    other = wan_vace()
    other.transformer.add_adapter(LoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False))
    type(other).save_lora_weights(tmp_path, get_peft_model_state_dict(other.transformer))
    component = Component(folder=str(tmp_path), files=("pytorch_lora_weights.safetensors",))
    with pytest.raises(InputError, match=r"panorama/lora: .* is not a LoRA for Flux2KleinPipeline .*take one that was"):
        _add_lora("panorama/lora", tiny_klein_base(), tmp_path, component)
