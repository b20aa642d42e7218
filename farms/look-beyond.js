// A job type for Flamenco (3.5 or newer): put this file into the folder `scripts` beside Flamenco Manager and start it
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
        { key: "blend_file", type: "string", subtype: "file_path", description: "Or a scene of Blender with a world" },
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
        if (!settings.blend_file) {
            throw new Error("Give a world and a camera path, or a .blend file.");
        }
        job.addTask(command("shoot", "blender", "{blender}", [
            "-b", settings.blend_file, "--command", "lookbeyond", "shot", "--output", settings.output,
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
        const clips = part.includes("-") ? part : part + "-" + part;
        const task = command("clips " + clips, "misc", "lookbeyond",
            shot.concat(["--store", settings.store, "--clips", clips]));
        whole.addDependency(task);
        job.addTask(task);
    }
    job.addTask(whole);
}

function command(name, kind, program, words) {
    const task = author.Task(name, kind);
    task.addCommand(author.Command("exec", { exe: program, args: words }));
    return task;
}
