"use strict";

// scheduler MODE --master=IP:PORT --state=FOLDER [--tasks=N] [--gates=DIR]
//
// A framework on mesos-framework, as its users write one. MODE command: the library itself matches
// offers and launches shell commands; MODE executor: tasks run on an executor.js of each agent, the
// scheduler sends every executor a message and waits for the answer. What the library must remember
// it keeps in FOLDER, so that the next instance goes on where a killed one was. Prints `running N`
// once all N tasks run; ends with status 0 when each was acknowledged as FINISHED and the framework
// is torn down. With --gates half of the tasks wait for the file DIR/gate-0, the others for
// DIR/gate-1: meanwhile this program can be killed.

const os = require("os");
const { parseArgs } = require("util");
const { Scheduler, Mesos } = require("mesos-framework");
const FolderStore = require("./store");

const { values: flags, positionals } = parseArgs({ allowPositionals: true, options: {
    master: { type: "string" }, state: { type: "string" },
    tasks: { type: "string", default: "6" }, gates: { type: "string" } } });
const executors = positionals[0] === "executor";
const total = Number(flags.tasks);
const mesos = Mesos.getMesos();
const greeting = { name: "GREETING", value: "grüße, 世界 𝄞" };

const running = new Set(), finished = new Set(), answered = new Set();
let unacknowledged = 0, ending = false;

function fail(text) {
    console.log("FAIL " + text);
    process.exit(1);
}

function commandOf(gate) {
    const wait = `until [ -e '${flags.gates}/gate-${gate}' ]; do sleep 0.1; done; `;
    return (flags.gates ? wait : "") + "echo $GREETING";
}

// One of the two kinds of task, as the library describes them.
function tasksOf(gate) {
    const environment = new mesos.Environment([greeting]);
    return { priority: 1, instances: total / 2,
        commandInfo: new mesos.CommandInfo(null, environment, true, commandOf(gate)),
        resources: { cpus: 0.1, mem: 16, ports: 1, disk: 0 } };
}

function scalar(name, value) {
    return { name, type: "SCALAR", scalar: { value } };
}

// The library's own handler wants a command in every task, which a task of an executor must not
// have; so this mode brings a handler.
function offerToExecutors(event) {
    for (const offer of event.offers) {
        const share = this.pendingTasks.splice(0, Math.ceil(total / 2));
        if (share.length === 0) {
            this.decline([offer.id], null);
            continue;
        }
        const executor = new mesos.ExecutorInfo({
            executor_id: { value: "npm-" + offer.agent_id.value }, name: "executor.js",
            command: { shell: true, value: `exec '${process.execPath}' '${__dirname}/executor.js'`,
                environment: { variables: [greeting] } },
            resources: [scalar("cpus", 0.1), scalar("mem", 64)] });
        const infos = share.map((task) => {
            task.taskId = this.options.frameworkName + "." + task.name;
            task.isSubmitted = true;
            task.runtimeInfo = { agentId: offer.agent_id.value, state: "TASK_STAGING" };
            this.launchedTasks.push(task);
            this.taskHelper.saveTask(task);
            return new mesos.TaskInfo({ name: task.name, task_id: { value: task.taskId },
                agent_id: offer.agent_id, resources: [scalar("cpus", 0.1), scalar("mem", 16)],
                executor, labels: { labels: [{ key: "command", value: task.commandInfo.value }] } });
        });
        this.accept([offer.id], new mesos.Offer.Operation({ type: "LAUNCH",
            launch: { task_infos: infos } }), null);
    }
}

const scheduler = new Scheduler({
    masterUrl: flags.master.split(":")[0], port: flags.master.split(":")[1],
    frameworkName: "npm " + positionals[0], user: os.userInfo().username,
    frameworkFailoverTimeout: 60, masterConnectionTimeout: 40,
    restartStates: [], useZk: true, zkClient: new FolderStore(flags.state),
    logging: { path: flags.state, fileName: "scheduler.log", level: "warn" },
    tasks: { early: tasksOf(0), late: tasksOf(1) },
    handlers: executors ? { OFFERS: function (event) { offerToExecutors.call(this, event); } } : {}
});

function consider() {
    const answers = executors ? scheduler.agents.size : 0;
    if (!ending && finished.size === total && unacknowledged === 0 &&
        answered.size === answers) {
        ending = true;
        scheduler.teardown();
    }
}

scheduler.agents = new Set();
scheduler.on("update", (update) => {
    const { status } = update, id = status.task_id.value;
    console.log(id, status.state, status.source, status.uuid || "");
    unacknowledged += status.uuid ? 1 : 0;
    if (!status.uuid && finished.has(id)) {
        return;     // The library goes on asking for a task whose end it has acknowledged.
    }
    if (!["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"].includes(status.state)) {
        fail(`${id} is ${status.state}: ${status.message}`);
    }
    if (status.state === "TASK_RUNNING") {
        if (executors && status.uuid && status.message !== "läuft: 世界 𝄞") {
            fail(`the message of ${id} became ${status.message}`);
        }
        if (executors && !scheduler.agents.has(status.agent_id.value)) {
            scheduler.agents.add(status.agent_id.value);
            scheduler.message(status.agent_id.value, "npm-" + status.agent_id.value, "still there?");
        }
        running.add(id);
        if (running.size === total) {
            console.log("running " + total);
        }
    } else if (status.state === "TASK_FINISHED" && status.uuid) {
        // What reconciliation tells has no uuid: the update itself is still to come.
        finished.add(id);
    }
});
scheduler.on("message", (message) => {
    if (message.data !== "still there?") {
        fail("an executor answered " + message.data);
    }
    answered.add(message.agentId.value);
    consider();
});
scheduler.on("sent_acknowledge", () => { unacknowledged--; consider(); });
scheduler.on("sent_teardown", () => { console.log("finished " + finished.size); process.exit(0); });
scheduler.on("subscribed", (event) => console.log("framework " + event.frameworkId));
scheduler.on("error", (error) => {
    // The master ends the stream of a framework that was torn down.
    if (!ending) {
        fail("error: " + (error.message || JSON.stringify(error)));
    }
});
scheduler.on("ready", () => scheduler.subscribe());
