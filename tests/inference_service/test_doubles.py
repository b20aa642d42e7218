"""The doubles take what the real ones take: both are held to the protocols that the service is written against."""

import inspect

import pytest

from benchmarks.incremental import Paced
from benchmarks.transport import Noise
from inference_service.server.presets import Presets
from inference_service.work.pipeline import Pipeline
from inference_service.workers.executor import Executor
from inference_service.workers.process_pool import ProcessPool
from inference_service.workers.ray_pool import RayPool
from lookbeyond.pipelines.scene import ScenePipeline
from tests.inference_service.server.test_operations import StuckAtTheThirdClip, TwoAtWork
from tests.support.double import DoublePipeline, DoublePresets


def methods(cls: type) -> list[str]:
    """The functions that a class defines itself and that others call."""
    return [name for name, value in vars(cls).items() if inspect.isfunction(value) and not name.startswith("_")]


@pytest.mark.parametrize(
    ("protocol", "cls"),
    [
        (Pipeline, ScenePipeline),
        (Pipeline, DoublePipeline),
        (Pipeline, Noise),
        (Pipeline, Paced),
        (Executor, ProcessPool),
        (Executor, RayPool),
        (Executor, StuckAtTheThirdClip),
        (Executor, TwoAtWork),
        (Presets, DoublePresets),
    ],
)
def test_every_call_of_the_protocol_is_taken(protocol, cls):
    assert methods(protocol)
    for name in methods(protocol):
        wanted = inspect.signature(getattr(protocol, name)).parameters.values()
        positional = [parameter for parameter in wanted if parameter.kind is not parameter.KEYWORD_ONLY]
        if isinstance(inspect.getattr_static(cls, name), staticmethod):
            positional = positional[1:]  # it needs no self
        keywords = {parameter.name: None for parameter in wanted if parameter.kind is parameter.KEYWORD_ONLY}
        inspect.signature(getattr(cls, name)).bind(*positional, **keywords)
