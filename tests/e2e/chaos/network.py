"""A network of the run's own: a bridge, and a network namespace a node with one address on it. It is
made in the namespaces that this process lives in and has no way out; it goes with them.

What is cut is a set of rules, each about packets from one node to another, that the receiving node
keeps in its nftables. Loss and resets are rules too. Who asks from the bridge itself (the harness)
is never cut off."""

import itertools
import os
import subprocess

HUB = "10.77.0.1"
NAMES = "/run/netns"


def command(*words, text=None):
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError("%s: %s%s" % (" ".join(words), done.stderr.strip(), text or ""))
    return done.stdout


class Network:
    def __init__(self, nodes):
        self.addresses = {node: "10.77.0.%d" % (i + 2) for i, node in enumerate(nodes)}
        self.rules = {}         # token: (from, to, nftables' statement)
        self.tokens = itertools.count()
        os.makedirs(NAMES, exist_ok=True)
        command("mount", "-t", "tmpfs", "tmpfs", NAMES)
        command("ip", "link", "set", "lo", "up")
        command("ip", "link", "add", "bridge", "type", "bridge")
        command("ip", "addr", "add", HUB + "/24", "dev", "bridge")
        command("ip", "link", "set", "bridge", "up")
        for node in nodes:
            command("ip", "netns", "add", node)
            command("ip", "link", "add", node, "type", "veth", "peer", "name", "eth0", "netns",
                    node)
            command("ip", "link", "set", node, "master", "bridge", "up")
            inside = ("ip", "-n", node)
            command(*inside, "link", "set", "lo", "up")
            command(*inside, "addr", "add", self.addresses[node] + "/24", "dev", "eth0")
            command(*inside, "link", "set", "eth0", "up")
        self.netem = self._has_netem(nodes[0])

    @staticmethod
    def _has_netem(node):
        try:
            command("tc", "-n", node, "qdisc", "add", "dev", "eth0", "root", "netem", "delay",
                    "1ms")
            command("tc", "-n", node, "qdisc", "del", "dev", "eth0", "root")
            return True
        except RuntimeError:
            return False

    @staticmethod
    def enter(node):
        """What to put before a command that is to run on the node. Mounts stay as they are."""
        return ["nsenter", "--net=%s/%s" % (NAMES, node), "--"]

    def add(self, pairs, statement):
        """Does this to every packet of the pairs (from, to). A token, for remove()."""
        token = next(self.tokens)
        self.rules[token] = [(a, b, statement) for a, b in pairs if a != b]
        self._apply({b for _, b in pairs})
        return token

    def drop(self, pairs):
        return self.add(pairs, "drop")

    def reset(self, pairs):
        """What is sent is answered as by a machine that knows of no connection."""
        return self.add(pairs, "meta l4proto tcp reject with tcp reset")

    def lose(self, pairs, percent):
        return self.add(pairs, "numgen random mod 100 < %d drop" % percent)

    def remove(self, token):
        self._apply({b for _, b, _ in self.rules.pop(token)})

    def _apply(self, nodes):
        """Replaces the rules of these nodes, each in one transaction."""
        for node in nodes:
            rules = "\n".join("ip saddr %s %s" % (self.addresses[a], statement)
                              for rule in self.rules.values() for a, b, statement in rule
                              if b == node)
            command(*self.enter(node), "nft", "-f", "-", text=(
                "table ip chaos\ndelete table ip chaos\ntable ip chaos { chain in {\n"
                "type filter hook input priority 0;\n%s\n}\n}\n" % rules))

    def slow(self, node):
        """What the node sends takes long: netem where the kernel has it, else a narrow pipe."""
        how = (("netem", "delay", "120ms", "60ms") if self.netem else
               ("tbf", "rate", "256kbit", "burst", "3kb", "latency", "2s"))
        command("tc", "-n", node, "qdisc", "add", "dev", "eth0", "root", *how)

    @staticmethod
    def quick(node):
        command("tc", "-n", node, "qdisc", "del", "dev", "eth0", "root")


def both(some, others):
    """The pairs of a partition."""
    return [(a, b) for a in some for b in others] + [(b, a) for a in some for b in others]
