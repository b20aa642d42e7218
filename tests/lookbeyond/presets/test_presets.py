"""What a preset's file may say, what is missing of it, and what names its weights. No network is loaded here."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from lookbeyond import presets
from lookbeyond.errors import InputError
from lookbeyond.presets import weights

SETTINGS = {
    "title": "Mine",
    "description": "",
    "licence": "own",
    "memory_gb": 8,
    "stages": {"panorama": {"preset": "builtin"}, "views": {"preset": "builtin"}},
}
VIEWS = {
    "pipeline": "views",
    "components": {"unet": {"loads": "diffusers.UNetSpatioTemporalConditionModel", "folder": "unet"}},
    "settings": {"fps": 7},
}
OWN = {"frames_per_clip": 14, "views_steps": 10, "strength": 0.8, "min_guidance_scale": 1, "max_guidance_scale": 3}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a user's preset: its fields are SETTINGS, changed."""
    monkeypatch.setenv("LOOKBEYOND_PRESETS_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    presets.revision.cache_clear()

    def write_preset(name="mine", **changes):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "preset.json").write_text(json.dumps(SETTINGS | changes))
        return tmp_path / name

    yield write_preset
    presets.revision.cache_clear()


def put_weights(folder, **tensors):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    tensors = {name: torch.zeros(shape) for name, shape in tensors.items()} or {"a": torch.zeros(3, 4)}
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors")
    return folder / "diffusion_pytorch_model.safetensors"


def test_the_built_in_revision_is_the_hash_of_its_files():
    """Finished work is remembered under it: another way of counting would throw all of it away."""
    folder, digest = presets.get("builtin").folder, hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".json", ".safetensors"):
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    assert presets.revision("builtin") == digest.hexdigest()[:12]


def test_stages_taken_from_another_preset_bring_their_settings(write):
    write()
    preset, builtin = presets.get("mine"), presets.get("builtin")
    assert preset.stage("panorama") == builtin.stage("panorama") and preset.stage("panorama")[0] == builtin
    assert (preset.views_steps, preset.panorama_detail) == (builtin.views_steps, builtin.panorama_detail)
    assert preset.installed and preset.stage("distance") is None
    write(views_steps=3)
    assert presets.get("mine").views_steps == 3


def test_what_measures_a_borrowed_panorama_comes_along(write):
    write(stages={"panorama": {"preset": "sd"}, "views": {"preset": "svd"}})
    mine, sd = presets.get("mine"), presets.get("sd")
    assert mine.stage("distance") == sd.stage("distance") and mine.stage("distance")[1].pipeline == "depth"
    wanted = [component.hub for _, _, component in mine.components()]
    assert {component.hub for _, _, component in sd.components()} < set(wanted)
    assert mine.missing.endswith("not on this machine; run `lookbeyond fetch mine`")
    assert all(component.hub in mine.missing for _, _, component in mine.components() if not component.optional)


def test_components_of_ones_own_stand_in_a_borrowed_stage(write):
    """What a run of `train svd` writes, put into `svd` by naming two folders."""
    lora, encoder = {"folder": "trained/lora"}, {"folder": "trained/raymap_encoder"}
    views = {"preset": "svd", "components": {"lora": lora, "raymap_encoder": encoder}, "settings": {"fps": 12}}
    folder = write(stages=SETTINGS["stages"] | {"views": views})
    write("again", stages=SETTINGS["stages"] | {"views": {"preset": "mine"}})
    mine, (owner, theirs) = presets.get("mine"), presets.get("svd").stage("views")
    found, stage = mine.stage("views")
    assert found == owner and presets.get("again").stage("views") == (found, stage)
    assert stage.components["unet"] == theirs.components["unet"] and stage.settings == theirs.settings | {"fps": 12}
    assert stage.components["lora"].files == theirs.components["lora"].files
    assert stage.components["raymap_encoder"].loads == theirs.components["raymap_encoder"].loads
    # what was asked for is not optional, and lies in the user's folder, not in ours
    problem = weights.problem(owner, "views/lora", stage.components["lora"], "mine")
    assert str(folder / "trained/lora") in problem and "no folder" in problem
    revision = presets.revision("mine")
    (folder.parent / "hub").mkdir()
    put_weights(folder / "trained/raymap_encoder")
    presets.revision.cache_clear()
    assert presets.revision("mine") != revision


def test_the_roles_that_may_be_named_are_those_of_the_pipelines():
    from inspect import signature

    from lookbeyond.pipelines.depth import DepthPipeline
    from lookbeyond.pipelines.panorama import PanoramaPipeline
    from lookbeyond.pipelines.views import ViewsPipeline

    pipelines = {"panorama": PanoramaPipeline, "views": ViewsPipeline, "depth": DepthPipeline}
    for name, pipeline in pipelines.items():
        assert set(presets.ROLES[name]) == set(signature(pipeline).parameters)
    for preset in presets.available():
        for stage in preset.stages.values():
            assert stage.preset or set(stage.components) <= set(presets.ROLES[stage.pipeline])


def test_a_gpu_that_only_imitates_bfloat16_computes_in_float16(monkeypatch):
    """T4, V100 and RTX 20xx; torch says that they have it unless asked again."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert presets.weights_dtype("cuda:0") == torch.float16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert presets.weights_dtype("cuda") == torch.bfloat16


def test_the_revision_follows_settings_borrowed_stages_and_local_weights(write):
    seen = set()

    def revise():
        presets.revision.cache_clear()
        seen.add(presets.revision("mine"))
        return len(seen)

    folder = write()
    assert revise() == 1
    write(stages=SETTINGS["stages"] | {"views": VIEWS}, **OWN)
    assert revise() == 2
    put_weights(folder / "unet")
    assert revise() == 3
    assert revise() == 3
    put_weights(folder / "unet", a=(3, 5))
    assert revise() == 4


def test_what_is_missing_or_broken_of_local_weights_is_said(write):
    folder = write(stages=SETTINGS["stages"] | {"views": VIEWS}, **OWN)
    preset = presets.get("mine")
    assert "views/unet" in preset.missing and "no folder unet" in preset.missing
    (folder / "unet").mkdir()
    assert "holds no safetensors" in preset.missing
    file = put_weights(folder / "unet")
    assert preset.installed
    role, owner, component = next(preset.components())
    assert weights.tensors(owner, role, component) == {"unet": [12]}
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    assert f"{len(whole) - 5} bytes long instead of {len(whole)}" in preset.missing
    file.write_bytes(whole[:6])
    assert "only the beginning" in preset.missing


def test_sharded_weights_want_every_shard(write):
    folder = write(stages=SETTINGS["stages"] | {"views": VIEWS}, **OWN)
    file = put_weights(folder / "unet")
    shards = [f"diffusion_pytorch_model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    file.rename(file.with_name(shards[0]))
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    (folder / "unet/diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    assert shards[1] in presets.get("mine").missing


def test_an_optional_component_may_be_absent_but_not_broken(write):
    components = VIEWS["components"] | {"lora": {"folder": "lora", "files": ["*.safetensors"], "optional": True}}
    folder = write(stages=SETTINGS["stages"] | {"views": VIEWS | {"components": components}}, **OWN)
    put_weights(folder / "unet")
    assert presets.get("mine").installed
    file = put_weights(folder / "lora")
    assert presets.get("mine").installed
    file.write_bytes(b"x" * 20)
    assert "lora" in presets.get("mine").missing


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"colour": 3}, "colour"),
        ({"memory_gb": "much"}, "memory_gb"),
        ({"stages": {"views": VIEWS}}, "both a panorama and a views"),
        ({"stages": SETTINGS["stages"] | {"sound": {"preset": "builtin"}}}, "sound"),
        ({"stages": SETTINGS["stages"] | {"views": {"preset": "nobody"}}}, "'nobody', which is no preset"),
        ({"stages": SETTINGS["stages"] | {"views": {"preset": "mine"}}}, "from itself"),
        ({"stages": SETTINGS["stages"] | {"views": {"pipeline": "views"}}}, "views stage needs"),
        ({"stages": SETTINGS["stages"] | {"views": {"pipeline": "other", "folder": "x"}}}, "pipeline"),
        ({"stages": SETTINGS["stages"] | {"views": VIEWS | {"components": {"unet": {}}}}}, "neither `hub` nor"),
        ({"stages": SETTINGS["stages"] | {"views": VIEWS | {"components": {"unet": {"hubb": ""}}}}}, "hubb"),
        (
            {"stages": SETTINGS["stages"] | {"views": VIEWS | {"components": {"unett": {"folder": "unet"}}}}},
            "a views pipeline has no component unett; it has vae, .*lora",
        ),
        (
            {"stages": SETTINGS["stages"] | {"views": {"preset": "svd", "components": {"loras": {"folder": "x"}}}}},
            "no component loras",
        ),
        (
            {"stages": SETTINGS["stages"] | {"views": {"preset": "builtin", "components": {"lora": {"folder": "x"}}}}},
            "'builtin' is a saved pipeline",
        ),
        (
            {"stages": SETTINGS["stages"] | {"views": {"preset": "svd", "size": [512, 512]}}},
            "beside `preset` give `components` and `settings` only",
        ),
    ],
)
def test_a_bad_file_is_named_and_harms_no_other_preset(write, changes, words):
    folder = write(**changes)
    with pytest.raises(InputError, match=words) as error:
        presets.get("mine")
    assert str(folder / "preset.json") in str(error.value)
    assert "builtin" in [preset.name for preset in presets.available()]
    assert presets.unreadable() == [str(error.value)]


def test_a_user_cannot_take_the_built_in_presets_name(write):
    write("builtin", title="Another")
    assert presets.get("builtin").title == "Built-in"


@pytest.mark.parametrize("name", [preset.name for preset in presets.available()])
def test_every_preset_of_ours_names_its_licences_and_sizes(name):
    preset = presets.get(name)
    assert preset.licence and preset.title and preset.memory_gb > 0
    for role, _, component in preset.components():
        assert component.licence, role
        if not component.optional and component.loads:
            assert component.download_gb > 0 or component.loads.endswith("Scheduler"), role
