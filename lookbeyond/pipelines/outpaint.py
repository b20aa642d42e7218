"""Stage 1 with a public inpainting model: completes the panorama view by view, or directly as one picture."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import cv2
import numpy as np
import torch
from PIL import Image

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera, heading_pitch_roll
from lookbeyond.geometry.projection import place_photo

from .depth import measured_around
from .panorama import PanoramaPipelineOutput, shrunk_part
from .sphere import covering_cameras, even_poles, fill_canvas, fill_views, plan_views

SIZE, FOV_DEG = 1024, 90.0
"""Of the square views that are painted: pixels, and field of view."""
GREEN = (0, 255, 0)
"""The colour of empty canvas, for models that take no mask."""
LIKE_GREEN = 70
"""A pixel whose red, green and blue all differ by less than this counts as green."""
MOST_GREEN = 1e-3
"""Share of a photo's pixels that may be green."""
MEASURING_STEPS = 40
"""Steps that measuring the distance is expected to take, for the share that is reported as done."""


@dataclass
class _Progress:
    """Counts the steps of several calls of an inpainting pipeline as one progress."""

    pipeline: Any
    callback: Callable[[Any, int, int, dict], Any] | None
    steps: int
    step: int = 0
    preview: np.ndarray | None = None

    def __call__(self, pipeline: Any, index: int, timestep: Any, state: dict) -> dict:
        self.step += 1
        if self.callback is not None:
            about = {"step": self.step, "steps": max(self.steps, self.step), "preview": self.preview}
            self.callback(self.pipeline, self.step, self.step, about)
            self.preview = None
        return state

    def measured(self, pipeline: Any, index: int, timestep: Any, state: dict) -> None:
        """The same for the steps of measuring the distance."""
        self(pipeline, index, timestep, {})


class OutpaintPipeline:
    """Outpaints a photo to a panorama with any inpainting pipeline of diffusers; another model measures the distance.

    Example:
        >>> inpaint = StableDiffusionInpaintPipeline.from_pretrained(folder, local_files_only=True)
        >>> depth_estimator = PanoramaPipeline.from_pretrained("lookbeyond/presets/builtin/panorama")
        >>> pipeline = OutpaintPipeline(inpaint, depth_estimator)
        >>> panorama = pipeline(photo, camera, prompt="a living room").panorama

    Args:
        inpaint: called with image and mask_image (PIL, white is to be filled), prompt, height, width, generator,
            num_inference_steps; gives `.images`. One that takes no mask_image is shown `GREEN` where it is to fill:
            FLUX.2 klein with a LoRA for it. That only works straight in the panorama (`way` "canvas").
        depth_estimator: measures the distance of a finished panorama: `PanoramaPipeline` or `DepthPipeline`.
        settings: further keyword arguments of this pipeline's call.
    """

    def __init__(self, inpaint: Any, depth_estimator: Any, settings: dict[str, Any] | None = None):
        self.inpaint, self.depth_estimator, self.settings = inpaint, depth_estimator, dict(settings or {})
        known = {*inspect.signature(self.paint).parameters, *inspect.signature(type(inpaint).__call__).parameters}
        if unknown := sorted(set(self.settings) - known):
            raise InputError(f"{type(inpaint).__name__} takes no {', '.join(unknown)}; correct the preset's settings")
        self.masked = inpaint is None or "mask_image" in inspect.signature(type(inpaint).__call__).parameters
        if not self.masked and self.settings.get("way", "views") != "canvas":
            raise InputError(
                f'{type(inpaint).__name__} takes no mask; correct the preset: its `way` can only be "canvas"'
            )

    @property
    def pipelines(self) -> list[Any]:
        """The diffusers pipelines inside: each is put on the device."""
        return [self.inpaint, *getattr(self.depth_estimator, "pipelines", [self.depth_estimator])]

    @torch.no_grad()
    def __call__(
        self,
        photo: np.ndarray,
        camera: Camera,
        *,
        camera_height: float = 1.6,
        width: int = 4096,
        num_inference_steps: int = 20,
        coarse_noise: float = 1.0,
        prompt: str = "",
        distance: np.ndarray | None = None,
        generator: torch.Generator | None = None,
        callback_on_step_end: Callable[[Any, int, int, dict], Any] | None = None,
        **settings: Any,
    ) -> PanoramaPipelineOutput:
        """Builds the panorama around a photo; arguments as those of `PanoramaPipeline`, and the settings of `paint`.

        coarse_noise: has no effect on these models.
        prompt: what the place is, instead of the settings' own words; beside those of views that look up or down.
        """
        options = _worded(self.settings | settings, prompt)
        progress = _Progress(self, callback_on_step_end, MEASURING_STEPS if distance is None else 0)
        whole = self.paint(
            partial(on_canvas, photo, camera),
            heading_pitch_roll(camera)[0],
            num_inference_steps=num_inference_steps,
            generator=generator,
            progress=progress,
            **options,
        )
        return measured_around(
            self.depth_estimator, photo, camera, whole, camera_height, width, generator, progress.measured, distance
        )

    def measure(self, colour: np.ndarray, **options: Any) -> PanoramaPipelineOutput:
        """Only the distance of an existing panorama, as `PanoramaPipeline.measure`."""
        return self.depth_estimator.measure(colour, **options)

    @torch.no_grad()
    def complete(
        self,
        colour: np.ndarray,
        known: np.ndarray,
        *,
        num_inference_steps: int = 20,
        coarse_noise: float = 1.0,
        prompt: str = "",
        generator: torch.Generator | None = None,
        callback_on_step_end: Callable[[Any, int, int, dict], Any] | None = None,
        **settings: Any,
    ) -> np.ndarray:
        """What a part of a sphere does not show, as fine as the model paints, with the part in it.

        colour: uint8 [H, 2H, 3], known on bool [H, 2H]; further arguments as in the call.
        """
        options = _worded(self.settings | settings, prompt)
        return self.paint(
            partial(shrunk_part, colour, known),
            0.0,
            num_inference_steps=num_inference_steps,
            generator=generator,
            progress=_Progress(self, callback_on_step_end, 0),
            **options,
        )

    def paint(
        self,
        part: Callable[[int], tuple[np.ndarray, np.ndarray]],
        heading: float,
        *,
        way: Literal["views", "canvas"] = "views",
        size: int = SIZE,
        fov_deg: float = FOV_DEG,
        trigger: str = "",
        prompt: str = "",
        prompt_up: str = "",
        prompt_down: str = "",
        num_inference_steps: int = 20,
        generator: torch.Generator | None = None,
        progress: "_Progress | None" = None,
        **options: Any,
    ) -> np.ndarray:
        """The panorama uint8 [H, 2H, 3] around a part of it, as fine as the model paints.

        Args:
            part: of a panorama so many pixels wide, uint8 [H, 2H, 3], and where it is known, bool [H, 2H].
            heading: of the centre column, radians.
            way: overlapping perspective views, most known first; or the equirectangular picture itself, in which the
                seam and then both poles are painted once more from within.
            size: side of the square views in pixels; "canvas": the panorama's height.
            fov_deg: what a view spans.
            trigger: words that a LoRA was trained with; they go before the prompt.
            prompt: what the place is; empty is allowed. `prompt_up`, `prompt_down`: of views that look up or down.
            options: of the inpainting pipeline's call (strength, guidance_scale, negative_prompt, ...).
        """
        fov, prompt = math.radians(fov_deg), f"{trigger} {prompt}".strip()
        canvas, seen = part(2 * size if way == "canvas" else 16 * round(math.pi * size / math.tan(fov / 2) / 16))
        if not self.masked:
            _check_no_green(canvas, seen)
            order, calls = [], 2
        elif way == "canvas":
            order = [camera for camera in covering_cameras(size, fov, heading) if abs(camera.forward[2]) > 0.99]
            calls = 2 + len(order)
        else:
            order = plan_views(seen, covering_cameras(size, fov, heading), heading)
            calls = len(order)
        progress = progress or _Progress(self, None, 0)
        progress.steps += calls * num_inference_steps
        options |= {"num_inference_steps": num_inference_steps, "generator": generator}

        def paint_view(image: np.ndarray, holes: np.ndarray, view: Camera) -> np.ndarray:
            upwards = float(view.forward[2])
            words = (prompt_up if upwards > 0.6 else prompt_down if upwards < -0.6 else "") or prompt
            progress.preview = image
            return self._inpaint(image, holes, words, view, progress, options)

        if way == "views":
            return fill_views(canvas, seen, order, paint_view, heading)

        def paint_canvas(image: np.ndarray, holes: np.ndarray, columns: int) -> np.ndarray:
            progress.preview = image
            return self._inpaint(image, holes, prompt, columns, progress, options)

        whole = fill_canvas(canvas, seen, paint_canvas)
        if not self.masked:
            return even_poles(whole, seen)
        height = whole.shape[0]
        # rows around the poles are stretched beyond what such models know
        rows = np.arange(height)
        polar = (np.minimum(rows, height - 1 - rows) < height * 20 / 180)[:, None]
        return fill_views(whole, ~polar | seen, order, paint_view, heading)

    def _inpaint(
        self, image: np.ndarray, holes: np.ndarray, prompt: str, where: Camera | int, progress: _Progress, options: dict
    ) -> np.ndarray:
        """A picture uint8 [h, w, 3] with its holes bool [h, w] filled by the model: float32 [h, w, 3], 0..255.

        where: the view's camera, or by how many columns the panorama is rolled; the model does not know it.
        """
        height, width = holes.shape
        known = inspect.signature(self.inpaint.__call__).parameters
        if "callback_on_step_end" in known:
            options = options | {"callback_on_step_end": progress}
        if self.masked:
            options = options | {"mask_image": Image.fromarray(holes.astype(np.uint8) * 255)}
        else:
            image = np.where(holes[..., None], np.array(GREEN, np.uint8), image)
        output = self.inpaint(
            prompt=prompt, image=Image.fromarray(image), height=height, width=width, output_type="np", **options
        )
        return np.asarray(output.images[0], np.float32) * 255


def on_canvas(photo: np.ndarray, camera: Camera, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo in an empty panorama whose centre column looks where it does, and the pixels that show it."""
    canvas, seen = place_photo(photo, camera, width, heading_pitch_roll(camera)[0])
    # the outermost pixels only continue the photo's border
    return canvas, cv2.erode(seen.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def _worded(options: dict[str, Any], prompt: str) -> dict[str, Any]:
    """Settings with the user's words instead of their own, and beside those of views that look up or down."""
    if not prompt:
        return options
    poles = {name: f"{options[name]}, {prompt}" for name in ("prompt_up", "prompt_down") if options.get(name)}
    return options | {"prompt": prompt} | poles


def _check_no_green(canvas: np.ndarray, seen: np.ndarray) -> None:
    """InputError for photos in which a model would take something green for empty canvas."""
    alike = (np.abs(canvas.astype(np.int16) - GREEN) < LIKE_GREEN).all(-1) & seen
    share = float(alike.sum() / max(1, seen.sum()))
    if share > MOST_GREEN:
        raise InputError(
            f"{share:.1%} of the photo is the pure green that means empty canvas to this preset's model, which would "
            "paint it over; choose another preset (flux-klein takes any photo), or tone the green down"
        )
