"use strict";

// A folder that answers like the ZooKeeper client that mesos-framework keeps its state in: the
// library takes one by its option `zkClient`. Each node is a folder with its value in a file.
// Writes are done when the call returns, so that a killed scheduler lost nothing it was told.

const EventEmitter = require("events");
const fs = require("fs");
const path = require("path");
const zookeeper = require("node-zookeeper-client");

class FolderStore extends EventEmitter {
    constructor(folder) {
        super();
        this.folder = folder;
    }

    place(node) {
        return path.join(this.folder, node);
    }

    // Calls back later, as a client on a network does.
    answer(callback, work) {
        let error = null, value;
        try {
            value = work();
        } catch (e) {
            error = e.code === "ENOENT" ? zookeeper.Exception.create(zookeeper.Exception.NO_NODE) : e;
        }
        setImmediate(() => callback(error, value));
    }

    connect() {
        setImmediate(() => this.emit("connected"));
    }

    close() {}

    mkdirp(node, callback) {
        this.answer(callback, () => fs.mkdirSync(this.place(node), { recursive: true }));
    }

    setData(node, data, callback) {
        this.answer(callback, () => {
            const file = path.join(this.place(node), ".data");
            fs.writeFileSync(file + ".new", data);
            fs.renameSync(file + ".new", file);
        });
    }

    getData(node, watcher, callback) {
        const done = callback || watcher;
        this.answer(done, () => fs.readFileSync(path.join(this.place(node), ".data")));
    }

    getChildren(node, callback) {
        this.answer(callback, () => fs.readdirSync(this.place(node)).filter((n) => n[0] !== "."));
    }

    remove(node, callback) {
        this.answer(callback, () => fs.rmSync(this.place(node), { recursive: true }));
    }
}

module.exports = FolderStore;
