"""Downloads, from a hub that runs in the test: what is loaded, what is refused, what came broken."""

import io
import json

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from inference_service.cli import main
from lookbeyond import presets
from lookbeyond.errors import InputError, StorageError
from lookbeyond.presets import weights
from lookbeyond.presets.fetching import broken_files, downloads, fetch
from tests.support.hub import COMMIT, running_hub

UNET = {
    "loads": "diffusers.UNetSpatioTemporalConditionModel",
    "hub": "acme/video",
    "subfolder": "unet",
    "licence": "Acme 1.0",
    "licence_url": "https://example.org/licence",
}
SCHEDULER = {"loads": "diffusers.EulerDiscreteScheduler", "hub": "acme/video", "subfolder": "scheduler"}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with one repository, and this machine's cache and presets in folders of the test."""
    unet = tmp_path / "hub/acme/video/unet"
    unet.mkdir(parents=True)
    for variant in ("", ".fp16"):
        save_file({"a": torch.randn(40, 50)}, unet / f"diffusion_pytorch_model{variant}.safetensors")
    (unet / "config.json").write_text('{"_class_name": "UNetSpatioTemporalConditionModel"}')
    (unet.parent / "scheduler").mkdir()
    (unet.parent / "scheduler/scheduler_config.json").write_text("{}")
    (unet.parent / "demo.mp4").write_bytes(b"large and not needed")
    monkeypatch.setenv("LOOKBEYOND_PRESETS_DIR", str(tmp_path / "presets"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    presets.revision.cache_clear()
    with running_hub(tmp_path / "hub") as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield hub
    presets.revision.cache_clear()


def write_preset(tmp_path, unet=UNET, **components):
    folder = tmp_path / "presets/video"
    folder.mkdir(parents=True, exist_ok=True)
    views = {"pipeline": "views", "components": {"unet": unet, "scheduler": SCHEDULER} | components}
    values = {
        "title": "",
        "description": "",
        "licence": "",
        "memory_gb": 1,
        "frames_per_clip": 14,
        "views_steps": 10,
        "strength": 1,
        "min_guidance_scale": 1,
        "max_guidance_scale": 1,
        "stages": {"panorama": {"preset": "builtin"}, "views": views},
    }
    (folder / "preset.json").write_text(json.dumps(values))
    return presets.get("video")


def test_what_is_needed_is_loaded_and_nothing_else_and_once(hub, tmp_path):
    preset = write_preset(tmp_path, UNET | {"variant": "fp16"})
    assert "run `lookbeyond fetch video`" in preset.missing
    (wanted,) = downloads(preset)
    assert wanted.licences == ("Acme 1.0 https://example.org/licence", "no licence is stated: ask its author")
    source = tmp_path / "hub/acme/video"
    names = ["scheduler/scheduler_config.json", "unet/config.json", "unet/diffusion_pytorch_model.fp16.safetensors"]
    assert wanted.bytes == sum((source / name).stat().st_size for name in names)
    folder = fetch(wanted)
    assert folder.name == COMMIT
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == names
    assert preset.installed and not downloads(preset)
    asked = len(hub.requests)
    role, owner, component = next(preset.components())
    assert weights.require(owner, role, component) == folder / "unet"
    assert weights.fingerprint(owner, component) == f"acme/video@{COMMIT}/unet.fp16"
    assert len(presets.revision("video")) == 12 and len(hub.requests) == asked


@pytest.mark.parametrize("damage", ["short", "one bit", "gone", "dangling"])
def test_a_damaged_file_is_found_and_loaded_again(hub, tmp_path, damage):
    preset = write_preset(tmp_path)
    folder = fetch(downloads(preset)[0])
    file = folder / "unet/diffusion_pytorch_model.safetensors"
    whole, blob = file.read_bytes(), file.resolve()
    if damage == "short":
        blob.write_bytes(whole[:-100])
    elif damage == "one bit":
        blob.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert preset.installed  # sizes are right: only hashes tell
        assert list(broken_files(folder, weights.patterns(next(preset.components())[2]))) == [file]
        blob.write_bytes(whole[:-1])
    else:
        (file if damage == "gone" else blob).unlink()
    assert file.name in preset.missing and "lookbeyond fetch video" in preset.missing
    fetch(downloads(preset)[0])
    assert preset.installed and file.read_bytes() == whole


def test_what_comes_broken_is_said_and_not_kept(hub, tmp_path):
    preset = write_preset(tmp_path)
    hub.corrupt.add("diffusion_pytorch_model.safetensors")
    wanted = downloads(preset)[0]
    with pytest.raises(StorageError, match="came broken; run the command again"):
        fetch(wanted)
    assert not preset.installed
    hub.corrupt.clear()
    fetch(downloads(preset)[0])
    assert preset.installed


def test_the_command_says_licence_and_size_and_loads_nothing_unasked(hub, tmp_path, capsys, monkeypatch):
    def lookbeyond(*arguments):
        with pytest.raises(SystemExit) as exit:
            main(arguments)
        return exit.value.code, *capsys.readouterr()

    write_preset(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    code, out, error = lookbeyond("fetch", "video")
    assert code == 2 and "--yes" in error and "Acme 1.0" in out and "acme/video (main), for views/unet" in out
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    code, out, _ = lookbeyond("fetch", "video", "--yes")
    assert code == 0 and "--preset video" in out
    assert "nothing is missing" in lookbeyond("fetch", "video")[1]
    assert lookbeyond("fetch", "video", "--check")[0] == 0
    blob = next((tmp_path / "cache").rglob("diffusion*.safetensors")).resolve()
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    code, _, error = lookbeyond("fetch", "video", "--check")
    assert code == 2 and "diffusion_pytorch_model.safetensors; run `lookbeyond fetch video`" in error
    hub.refused["acme/video"] = (403, "GatedRepo")
    code, _, error = lookbeyond("fetch", "video")
    assert code == 2 and error.count("\n") == 1 and "hf auth login" in error
    hub.refused.clear()
    assert lookbeyond("fetch", "video", "--yes")[0] == 0 and blob.read_bytes() == whole
    assert lookbeyond("fetch", "nobody")[0] == 2


@pytest.mark.parametrize(
    "refusal, words",
    [
        ((403, "GatedRepo"), "accept them at .*acme/video, log in with `hf auth login`"),
        ((401, "GatedRepo"), "accept them at .*acme/video"),
        ((401, "RepoNotFound"), "knows no acme/video"),
        ((404, "RepoNotFound"), "knows no acme/video"),
        ((404, "RevisionNotFound"), "acme/video has no revision 'main'"),
        ((503, ""), "acme/video cannot be loaded .*HF_ENDPOINT"),
    ],
)
def test_a_refusal_names_the_id_and_the_remedy(hub, tmp_path, refusal, words):
    hub.refused["acme/video"] = refusal
    with pytest.raises(InputError, match=words):
        downloads(write_preset(tmp_path))
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("*.safetensors"))


def test_wrong_names_in_a_preset_are_said(hub, tmp_path):
    for change, words in (
        ({"variant": "fp8"}, "no files for views/unet .*variant 'fp8'"),
        ({"subfolder": "unit"}, "no files for views/unet .unit"),
        ({"hub": "acme/audio"}, "knows no acme/audio"),
        ({"hub": "no id/at all/"}, "'no id/at all/' is no id on the hub"),
        ({"revision": "v9"}, "no revision 'v9'"),
    ):
        with pytest.raises(InputError, match=words):
            downloads(write_preset(tmp_path, UNET | change))


def test_no_network_and_no_leave_are_told_apart(hub, tmp_path, monkeypatch):
    preset = write_preset(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        downloads(preset)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"acme/video cannot be loaded from http://127.0.0.1:9"):
        downloads(preset)


def test_what_a_preset_can_do_without_need_not_be_taken(hub, tmp_path, capsys):
    """A LoRA, say, whose licence leaves one's country out."""
    folder = tmp_path / "hub/acme/extra"
    folder.mkdir()
    save_file({"a": torch.randn(4, 5)}, folder / "lora.safetensors")
    extra = {"hub": "acme/extra", "files": ["lora.safetensors"], "licence": "Not for you 1.0", "optional": True}
    preset = write_preset(tmp_path, lora=extra)
    with pytest.raises(SystemExit, match="0"):
        main(["fetch", "video", "--yes", "--needed-only"])
    assert "Not for you" not in capsys.readouterr().out and not [r for r in hub.requests if "extra" in r]
    assert preset.installed
    with pytest.raises(SystemExit, match="0"):
        main(["fetch", "video", "--yes"])
    assert "Not for you 1.0" in capsys.readouterr().out and list((tmp_path / "cache").rglob("lora.safetensors"))


def test_a_local_folder_stands_in_for_the_download(hub, tmp_path):
    folder = str(tmp_path / "hub/acme/video")
    preset = write_preset(tmp_path, UNET | {"folder": folder}, scheduler=SCHEDULER | {"folder": folder})
    assert preset.installed and not downloads(preset) and not hub.requests
