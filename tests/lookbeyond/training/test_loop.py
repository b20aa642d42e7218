"""The loop that all trainers share: what it does is the same whether cut off, accumulated or shared by processes."""

import csv
import subprocess
import sys
import threading

import accelerate
import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from accelerate.tracking import GeneralTracker
from safetensors.torch import load_file

from lookbeyond.errors import InputError
from lookbeyond.training import checkpoint, loop
from tests.lookbeyond.training.runs import options, train
from tests.support.tiny import autoencoder

WEIGHTS = "vae/diffusion_pytorch_model.safetensors"


@pytest.fixture(autouse=True)
def fresh_state():
    """Each run here stands for a process of its own."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def begin_anew():
    AcceleratorState._reset_state(reset_partial_state=True)


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("accumulate", ["1", "2"])
def test_a_run_that_is_cut_off_goes_on_as_if_it_had_not_been(tmp_path, accumulate):
    arguments = ["--steps", "6", "--accumulate", accumulate]
    _, straight, drawn = train(options(tmp_path / "straight", *arguments))
    begin_anew()
    _, first, _ = train(options(tmp_path / "cut", *arguments), stop_after=3)
    assert checkpoint.read(tmp_path / "cut" / checkpoint.NAME).step == 3
    begin_anew()
    _, second, drawn_after = train(options(tmp_path / "cut", *arguments))
    assert first + second == straight
    assert torch.equal(drawn_after[-1], drawn[-1])
    assert equal(load_file(tmp_path / "straight" / WEIGHTS), load_file(tmp_path / "cut" / WEIGHTS))
    states = [load_file(tmp_path / name / checkpoint.NAME) for name in ("straight", "cut")]
    assert equal(*states), "weights, optimizer and average of the weights, bit for bit"


def test_a_spent_budget_trains_no_more_and_a_larger_one_goes_on(tmp_path):
    assert len(train(options(tmp_path, "--steps", "2"))[1]) == 2
    begin_anew()
    assert len(train(options(tmp_path, "--steps", "2"))[1]) == 0
    begin_anew()
    assert len(train(options(tmp_path, "--steps", "5"))[1]) == 3
    begin_anew()
    more = len(train(options(tmp_path, "--minutes", "0.03"))[1])
    assert more > 0 and checkpoint.read(tmp_path / checkpoint.NAME).step == 5 + more
    with (tmp_path / "log.csv").open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == [2, 5, 5 + more]


def test_rows_that_were_logged_after_the_checkpoint_are_logged_again(tmp_path):
    train(options(tmp_path, "--steps", "2"))
    with (tmp_path / "log.csv").open("a") as file:
        file.write("3,9,1,0,0.5,0.5,0.5\n")
    begin_anew()
    train(options(tmp_path, "--steps", "4"))
    with (tmp_path / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]


def test_a_finished_run_is_gone_on_with_in_another_folder(tmp_path):
    train(options(tmp_path / "one", "--steps", "2"))
    begin_anew()
    _model, losses, _ = train(options(tmp_path / "two", "--steps", "1", "--continue-from", str(tmp_path / "one")))
    assert len(losses) == 1 and checkpoint.read(tmp_path / "two" / checkpoint.NAME).step == 1
    before = load_file(tmp_path / "one" / checkpoint.NAME)
    after = load_file(tmp_path / "two" / checkpoint.NAME)
    name = next(name for name in before if name.startswith("optimizer/") and name.endswith("/step"))
    assert (float(before[name]), float(after[name])) == (2, 3), "the optimizer goes on"


def test_two_processes_do_what_one_does_that_accumulates_two_batches(tmp_path):
    program = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        "--main_process_port",
        "0",
        "-m",
        "tests.lookbeyond.training.runs",
        str(tmp_path),
    ]
    done = subprocess.run(program, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    zero, one = (load_file(tmp_path / f"process{rank}.safetensors") for rank in (0, 1))
    batches = [state.pop("batches") for state in (zero, one)]
    assert not torch.equal(*batches), "each process draws samples of its own"
    trained = [name for name in zero if not name.startswith("whiten")]
    assert all(torch.equal(zero[name], one[name]) for name in trained), "gradients are averaged"
    assert (tmp_path / "out0" / WEIGHTS).exists() and not (tmp_path / "out1").exists(), "only the first one writes"

    arguments = ["--steps", "3", "--accumulate", "2", "--precision", "no"]
    model, _, alone = train(options(tmp_path / "alone", *arguments))
    assert torch.equal(torch.stack(alone[::2]), batches[0]) and torch.equal(torch.stack(alone[1::2]), batches[1])
    torch.manual_seed(0)
    start = autoencoder().state_dict()
    moved, apart = (
        torch.cat([(state[name] - other[name]).flatten() for name in trained])
        for state, other in ((zero, start), (model.state_dict(), zero))
    )
    # not to the last bit: the whitening's statistics are those of the first process's batches
    assert apart.norm() < 0.02 * moved.norm()


def test_accumulated_batches_are_one_batch_of_their_size(tmp_path):
    """Without noise in the loss, two batches of two and one of four have the same gradient."""

    def gradients(parts):
        begin_anew()
        torch.manual_seed(0)
        count = str(len(parts))
        chosen = options(tmp_path / count, "--steps", "1", "--accumulate", count, "--precision", "no")
        accelerator = loop.begin(chosen)
        model, queue = torch.nn.Linear(3, 1), list(parts)
        model.save_pretrained = lambda folder: None
        loop.run(
            accelerator,
            {"line": model},
            lambda step, rng: queue.pop(0),
            lambda x: {"loss": model(x).square().mean()},
            chosen,
        )
        return model.weight.grad.clone()

    data = torch.randn(4, 3)
    torch.testing.assert_close(gradients([data]), gradients(data.split(2)))


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_checkpoint(tmp_path):
    train(options(tmp_path, "--steps", "2"))
    before = (tmp_path / checkpoint.NAME).read_bytes()
    begin_anew()
    with pytest.raises(loop.TrainingError, match="lower --learning-rate"):
        chosen = options(tmp_path, "--steps", "4")
        accelerator = loop.begin(chosen)
        model = autoencoder()
        loop.run(
            accelerator,
            {"vae": model},
            lambda step, rng: torch.zeros(1, 3, 16, 16),
            lambda images: {"loss": model(images).sum() * float("nan")},
            chosen,
        )
    assert (tmp_path / checkpoint.NAME).read_bytes() == before


def test_what_cannot_be_is_said_with_the_remedy(tmp_path):
    with pytest.raises(InputError, match="--accumulate is 0"):
        loop.begin(options(tmp_path, "--accumulate", "0"))
    with pytest.raises(InputError, match="holds no checkpoint"):
        train(options(tmp_path / "a", "--steps", "1", "--continue-from", str(tmp_path)))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / checkpoint.NAME).write_bytes(b"no such thing")
    begin_anew()
    with pytest.raises(InputError, match="cannot be read"):
        train(options(tmp_path / "b", "--steps", "1"))
    begin_anew()
    chosen = options(tmp_path / "c", "--steps", "1")
    accelerator = loop.begin(chosen)
    other = torch.nn.Linear(2, 2)
    other.save_pretrained = lambda folder: None
    loop.run(
        accelerator, {"vae": other}, lambda step, rng: torch.ones(1, 2), lambda x: {"loss": other(x).sum()}, chosen
    )
    begin_anew()
    with pytest.raises(InputError, match="is of another model"):
        train(options(tmp_path / "c", "--steps", "2"))
    begin_anew()
    chosen = options(tmp_path / "d", "--steps", "1", "--gradient-checkpointing")
    with pytest.raises(InputError, match="can be trained with --gradient-checkpointing"):
        train(chosen)


def test_losses_reach_tensorboard_too(tmp_path):
    pytest.importorskip("tensorboard")
    train(options(tmp_path, "--steps", "2", "--log-with", "tensorboard"))
    assert list(tmp_path.rglob("events.out.tfevents*"))


def test_losses_reach_weights_and_biases_by_the_same_way(tmp_path, monkeypatch):
    """Its package stands in the suite for a tracker that writes down what accelerate hands to it."""
    calls = []

    class Tracker(GeneralTracker):
        name, requires_logging_directory = "wandb", False
        tracker = None

        def __init__(self, run_name, **options):
            super().__init__()
            calls.append(("begin", run_name))

        def store_init_configuration(self, values):
            calls.append(("options", values))

        def log(self, values, step=None, **options):
            calls.append((step, values))

        def finish(self):
            calls.append(("end", None))

    monkeypatch.setitem(accelerate.tracking.LOGGER_TYPE_TO_CLASS, "wandb", Tracker)
    monkeypatch.setattr(accelerate.tracking, "_available_trackers", [accelerate.utils.LoggerType.WANDB])
    monkeypatch.setattr(loop.importlib.util, "find_spec", lambda name: name)
    train(options(tmp_path, "--steps", "2", "--log-with", "wandb"))
    (begun, config, (step, row), end) = calls
    assert begun == ("begin", "lookbeyond") and end == ("end", None) and config[1]["steps"] == step == 2
    with (tmp_path / "log.csv").open() as file:
        logged = {name: float(value) for name, value in next(csv.DictReader(file)).items()}
    assert {name: row[name] for name in logged} == logged and row["learning_rate"] > 0


def test_a_tracker_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(loop.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="`pip install wandb`, or leave the option out"):
        loop.begin(options(tmp_path, "--log-with", "wandb"))


def test_processes_that_accelerate_did_not_start_are_missed(tmp_path, monkeypatch, capsys):
    """It takes `--cpu --num_processes 2` without a word, sets this variable as for several, and starts one."""
    loop.begin(options(tmp_path))
    assert not capsys.readouterr().err
    begin_anew()
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    loop.begin(options(tmp_path))
    assert "starts one process however many are asked for" in capsys.readouterr().err


@pytest.mark.parametrize("setting, name", [("FSDP", "FSDP"), ("DEEPSPEED", "DeepSpeed")])
def test_models_spread_over_devices_are_refused_in_a_sentence(tmp_path, monkeypatch, setting, name):
    monkeypatch.setenv(f"ACCELERATE_USE_{setting}", "true")
    with pytest.raises(InputError, match=f"by {name} are not supported, .* `accelerate config`"):
        loop.begin(options(tmp_path))


def test_a_batch_is_read_while_the_one_before_is_learned_from_and_is_the_same(tmp_path):
    """Each loss waits until the next batch is being drawn: without a thread of its own it would wait in vain."""

    def losses(ahead: bool, name: str, steps: int) -> list[float]:
        begin_anew()
        chosen = options(tmp_path / name, "--steps", str(steps), "--accumulate", "2", "--precision", "no")
        accelerator, begun, learned = loop.begin(chosen), threading.Semaphore(0), []
        model = torch.nn.Linear(3, 1)
        model.save_pretrained = lambda folder: None

        def draw(step, rng):
            begun.release()
            return torch.from_numpy(rng.normal(size=(2, 3)).astype(np.float32))

        def loss(x):
            assert begun.acquire(timeout=60)
            if ahead:  # the next one's; give it back for its own turn
                assert begun.acquire(timeout=60), "the next batch was not begun"
                begun.release()
            value = (model(x) + torch.randn(1)).square().mean()
            learned.append(float(value.detach()))
            return {"loss": value}

        loop.run(accelerator, {"line": model}, draw, loss, chosen, ahead=ahead)
        return learned

    straight = losses(False, "straight", 3)
    assert losses(True, "ahead", 3) == straight
    assert losses(True, "cut", 1) + losses(True, "cut", 3) == straight
