"use strict";

// The framework of the chaos tests on mesos-framework; what it does and writes down is as in
// ../scheduler.c. It has no capabilities and does not checkpoint: its tasks end with their agent's
// process. Where the library would give up, this program ends, and whoever started it does so again.
//
//     scheduler.js --master=HOST:PORT,... --log=FILE --stop=FILE --task=PROGRAM --seed=N

const fs = require("fs");
const path = require("path");
const { parseArgs } = require("util");
const { Scheduler, Mesos } = require("mesos-framework");

const CPUS = 0.2, MEM = 32, MAX_OPEN = 8;
const ANSWER = 5000;    // without news of a task for so long it is asked for
const SILENCE = 5000;   // without any event for so long this process ends
const OVER = ["TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_DROPPED",
    "TASK_GONE", "TASK_GONE_BY_OPERATOR", "TASK_UNKNOWN", "TASK_LOST"];

const option = { type: "string" };
const { values: flags } = parseArgs({ options: { master: option, log: option, stop: option,
    task: option, seed: option } });
const mesos = Mesos.getMesos();
const open = new Map();     // launched and not ended
let life = 1, launched = 0, frameworkId = null, heardAt = Date.now(), connected = false;

function heard(id, agent, state) {
    if (OVER.includes(state)) {
        open.delete(id);
    } else {
        open.set(id, { agent, running: state === "TASK_RUNNING", news: Date.now() });
    }
}

// What the processes before this one have written.
function remember() {
    if (!fs.existsSync(flags.log)) {
        return;
    }
    for (const line of fs.readFileSync(flags.log, "utf8").split("\n").filter((l) => l)) {
        const entry = JSON.parse(line);
        life += entry.what === "start" ? 1 : 0;
        frameworkId = entry.what === "subscribed" ? entry.framework : frameworkId;
        if (entry.what === "launch" || entry.what === "update") {
            heard(entry.task, entry.agent, entry.state);
        }
    }
}

remember();
const file = fs.openSync(flags.log, "a");

function put(what, entry) {
    fs.writeSync(file, JSON.stringify({ t: Date.now() / 1000, life, what, ...entry }) + "\n");
}

// The library has no chance of its own that could be seeded.
let state = BigInt(flags.seed) * 1000n + BigInt(life);
function chance() {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return Number(state >> 33n) / 2 ** 31;
}

function scalar(name, value) {
    return { name, type: "SCALAR", scalar: { value } };
}

function amount(offer, name) {
    return offer.resources.filter((r) => r.name === name)
        .reduce((sum, r) => sum + r.scalar.value, 0);
}

function newTask(offer) {
    const id = `npm-${life}-${++launched}`, status = chance() < 0.1 ? 3 : 0;
    const seconds = [0.5, 2, 5, 15][Math.floor(chance() * 4)] * chance();
    heard(id, offer.agent_id.value, "");
    put("launch", { task: id, offer: offer.id.value, agent: offer.agent_id.value, cpus: CPUS,
        status });
    return new mesos.TaskInfo({ name: id, task_id: { value: id }, agent_id: offer.agent_id,
        resources: [scalar("cpus", CPUS), scalar("mem", MEM)], command: { shell: true,
            value: `exec ${flags.task} ${id} ${seconds.toFixed(2)} ${status}` } });
}

function onOffers(event) {
    const stop = fs.existsSync(flags.stop);
    for (const offer of event.offers) {
        const cpus = amount(offer, "cpus"), fit = Math.floor(Math.min(cpus / CPUS + 0.001,
            amount(offer, "mem") / MEM, MAX_OPEN - open.size, chance() * 4));
        put("offer", { offer: offer.id.value, agent: offer.agent_id.value, cpus });
        if (!stop && chance() < 0.1) {
            continue;       // held, until it is rescinded
        }
        const infos = Array.from({ length: stop ? 0 : Math.max(fit, 0) }, () => newTask(offer));
        put(infos.length ? "accept" : "decline", { offer: offer.id.value });
        if (infos.length) {
            scheduler.accept([offer.id], new mesos.Offer.Operation({ type: "LAUNCH",
                launch: { task_infos: infos } }), new mesos.Filters(0.5));
        } else {
            scheduler.decline([offer.id], new mesos.Filters(1));
        }
    }
}

function onUpdate(event) {
    const { status } = event, id = status.task_id.value;
    const agent = status.agent_id ? status.agent_id.value : "";
    put("update", { task: id, state: status.state, agent, uuid: status.uuid || "",
        reason: status.reason || "", source: status.source || "", message: status.message || "" });
    heard(id, agent, status.state);
    if (status.uuid) {
        put("acknowledge", { task: id, uuid: status.uuid });
        scheduler.acknowledge(event);
    }
}

function reconcile(all) {
    for (const [id, task] of open) {
        if (all || Date.now() - task.news > ANSWER) {
            task.news = Date.now();
            put("reconcile", { tasks: 1 });
            scheduler.reconcile(id, task.agent);
        }
    }
}

function onSubscribed(event) {
    put("subscribed", { framework: event.framework_id.value,
        master: event.master_info ? event.master_info.id : "" });
    connected = true;
    // The library takes the id over only after this.
    setImmediate(() => reconcile(true));
}

// Each second, when the heartbeat comes.
function onHeartbeat(event) {
    for (const [id, task] of open) {
        if (task.running && chance() < 0.03) {
            put("kill", { task: id });
            scheduler.kill(id, task.agent);
        }
    }
    reconcile(false);
}

function noticing(handler) {
    return function (event) {
        heardAt = Date.now();
        handler(event);
    };
}

const masters = flags.master.split(","), [host, port] = masters[life % masters.length].split(":");
const scheduler = new Scheduler({
    masterUrl: host, port, frameworkName: "npm", user: "root", frameworkFailoverTimeout: 3600,
    masterConnectionTimeout: 4, exponentialBackoffMinimum: 0.3, exponentialBackoffMaximum: 1,
    logging: { path: path.dirname(flags.log), fileName: "npm-library.log", level: "error" },
    handlers: Object.fromEntries(Object.entries({
        SUBSCRIBED: onSubscribed, OFFERS: onOffers, UPDATE: onUpdate, HEARTBEAT: onHeartbeat,
        RESCIND: (event) => put("rescind", { offer: event.offer_id.value }),
        ERROR: (event) => put("error", { message: event.message }),
        FAILURE: () => {}, MESSAGE: () => {}
    }).map(([name, handler]) => {
        const outer = noticing(handler);
        return [name, function (event) { outer(event); }];
    }))
});

scheduler.on("error", (error) => {
    const why = String(error.message || error);
    put(connected ? "failed" : "disconnected", { call: "", why });
    if (why.startsWith("Long-running connection")) {
        connected = false;      // it subscribes again
    } else if (!connected || why.startsWith("Error received")) {
        process.exit(1);
    }
});
put("start", { pid: process.pid });
setInterval(() => {
    if (Date.now() - heardAt > SILENCE) {
        put("disconnected", { why: "silence" });
        process.exit(1);
    }
}, 500);
scheduler.on("ready", () => {
    scheduler.frameworkId = frameworkId;
    scheduler.subscribe();
});
