"use strict";

// An executor on mesos-framework: each task is the shell command in its label `command`. It runs
// any number of tasks at a time, answers each MESSAGE with the same words, and ends on SHUTDOWN.

const { spawn } = require("child_process");
const { randomBytes } = require("crypto");
const { Executor } = require("mesos-framework");

const children = new Map();
const queue = [];
let sending = false;

// One call at a time: over connections of their own two updates could overtake each other.
function send() {
    if (!sending && queue.length > 0) {
        sending = true;
        executor.update(queue.shift());
    }
}

// Neither agent nor time: the agent knows both.
function report(task, state, message) {
    queue.push({ task_id: task.task_id, state, message, source: "SOURCE_EXECUTOR",
        uuid: randomBytes(16).toString("base64") });
    send();
}

function launch(event) {
    const task = event.task;
    const command = task.labels.labels.find((label) => label.key === "command").value;
    report(task, "TASK_RUNNING", "läuft: 世界 𝄞");
    const child = spawn("/bin/sh", ["-c", command], { stdio: "inherit" });
    children.set(task.task_id.value, child);
    child.on("close", (status) => {
        children.delete(task.task_id.value);
        report(task, status === 0 ? "TASK_FINISHED" : "TASK_FAILED", "exit status " + status);
    });
}

// The library has no handlers of its own for an executor: all are named.
const executor = new Executor({
    handlers: {
        SUBSCRIBED: function (event) { console.log("on agent", event.agent_info.id.value); },
        LAUNCH: function (event) { launch(event); },
        KILL: function (event) { children.get(event.task_id.value).kill(); },
        ACKNOWLEDGED: function (event) { console.log("acknowledged", event.task_id.value); },
        MESSAGE: function (event) { executor.message(Buffer.from(event.data, "base64")); },
        ERROR: function (event) { console.error(event.message); process.exit(1); },
        SHUTDOWN: function (event) { console.log("shutdown", event); process.exit(0); }
    }
});

executor.on("sent_update", () => { sending = false; send(); });
executor.on("error", (error) => { console.error("error:", error); process.exit(1); });
executor.subscribe();
