// A job type for Flamenco (3.3 or newer): put this file into the folder `scripts` beside Flamenco Manager and start it
// again. A shot is made in parts on as many workers as there are; the last task puts its frames together.
//
// Every worker needs the command `lookbeyond`, and one folder that all of them see: what one has made the others find
// there. With a .blend file instead of a world and a path, one worker shoots the scene as its Shoot button would.
const JOB_TYPE = {
    label: "Look Beyond",
    settings: [
        { key: "world", type: "string", subtype: "dir_path",
          description: "Folder that `lookbeyond world` made. Empty: shoot the .blend file's own scene" },
        { key: "cameras", type: "string", subtype: "file_path", description: "The camera path, a transforms.json" },
        // Flamenco's add-on fills in what has this name: the file that it sends to the farm
        { key: "blendfile", type: "string", visible: "web", description: "Or a scene of Blender with a world" },
        { key: "output", type: "string", subtype: "dir_path", required: true, description: "Folder for the shot" },
        { key: "store", type: "string", subtype: "dir_path",
          description: "Folder for finished parts, which every worker sees. Empty: no parts, one worker shoots all" },
        { key: "clips", type: "string", default: "1-16",
          description: "Which clips to share out; numbers beyond the last one are nothing to do" },
        { key: "chunk_size", type: "int32", default: 2, description: "Clips a task" },
        { key: "layers", type: "bool", default: false, description: "An EXR with depth, motion and masks a frame, too" },
        { key: "preset", type: "string", default: "builtin", description: "Which models" },
        { key: "seed", type: "int32", default: 0, description: "Same seed, same images" },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    if (!settings.world) {
        if (!settings.blendfile) {
            throw new Error("Give a world and a camera path, or a .blend file.");
        }
        job.addTask(command("shoot", "blender", "{blender}", [
            "-b", settings.blendfile, "--command", "lookbeyond", "shot", "--output", settings.output,
            "--preset", settings.preset, "--seed", String(settings.seed),
        ]));
        return;
    }
    if (!settings.cameras) {
        throw new Error("A world alone is no shot: give the camera path, a transforms.json.");
    }
    const shot = ["shot", settings.world, "--cameras", settings.cameras,
        "--preset", settings.preset, "--seed", String(settings.seed)];
    const whole = command("put together", "misc", "lookbeyond",
        shot.concat(settings.store ? ["--store", settings.store] : [], ["--out", settings.output],
            settings.layers ? ["--layers"] : []));
    const parts = settings.store ? frameChunker(settings.clips, settings.chunk_size) : [];
    for (let part of parts) {
        const task = author.Task("clips " + part, "misc");
        for (let clips of runs(part)) {
            addCommand(task, "lookbeyond", shot.concat(["--store", settings.store, "--clips", clips]));
        }
        whole.addDependency(task);
        job.addTask(task);
    }
    job.addTask(whole);
}

// What the manager calls "1,2", "3-5" or "1-3,7", as ranges of clips: "1-2", "3-5", "1-3" and "7-7".
function runs(part) {
    const found = [];
    for (let piece of part.split(",")) {
        const ends = piece.split("-").map(Number);
        const first = ends[0], last = ends[ends.length - 1], before = found[found.length - 1];
        if (before && before[1] + 1 === first) {
            before[1] = last;
        } else {
            found.push([first, last]);
        }
    }
    return found.map((run) => run.join("-"));
}

function command(name, kind, program, words) {
    const task = author.Task(name, kind);
    addCommand(task, program, words);
    return task;
}

function addCommand(task, program, words) {
    task.addCommand(author.Command("exec", { exe: program, args: words }));
}
