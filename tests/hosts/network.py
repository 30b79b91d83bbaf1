"""Hosts of a network of their own on one machine: network namespaces, joined by a bridge.

mpirun reaches them through Debian's SSH server, one in each, or, where there is none, by entering the namespace. Needs
root and iproute2. Nothing leaves the machine: the namespaces have no other links.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
PRIVILEGE_FOLDER = Path("/run/sshd")  # that Debian's sshd wants
BLOCK = "10.83.0"


def missing(with_ssh: bool) -> str:
    """Why such a network cannot be made here; empty if it can."""
    if os.geteuid() != 0:
        return "namespaces need root"
    for program in ("ip", "unshare", "mpirun", *(("ssh", "ssh-keygen", SSHD) if with_ssh else ())):
        if not shutil.which(program):
            return f"{program} is not there (scripts/setup.sh --hosts)"
    name = f"fs{os.getpid()}try"
    made = run("ip", "netns", "add", name, check=False)
    if made.returncode != 0:
        return f"no network namespaces: {made.stderr.strip()}"
    run("ip", "netns", "del", name)
    return ""


def run(*command: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done


class Host:
    """A namespace with a name and an address of its own; files are the machine's."""

    def __init__(self, network: Network, index: int) -> None:
        self.name = f"host{index}"
        self.namespace, self.link = f"{network.prefix}h{index}", f"{network.prefix}v{index}"
        self.address = f"{BLOCK}.{index + 1}"
        self.switch = network.switch
        run("ip", "netns", "add", self.namespace)
        run("ip", "link", "add", self.link, "netns", self.switch, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        run("ip", "-n", self.switch, "link", "set", self.link, "master", "bridge", "up")
        for device in ("lo", "eth0"):
            run("ip", "-n", self.namespace, "link", "set", device, "up")
        run("ip", "-n", self.namespace, "address", "add", f"{self.address}/24", "dev", "eth0")

    def command(self, *words: object) -> list[str]:
        """`words` as a command that runs on this host."""
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name]
        return ["ip", "netns", "exec", self.namespace, *named, *map(str, words)]

    def processes(self) -> list[int]:
        return [int(word) for word in run("ip", "netns", "pids", self.namespace).stdout.split()]

    def send(self, what: signal.Signals) -> None:
        """A signal to every process of the host."""
        for process in self.processes():
            try:
                os.kill(process, what)
            except ProcessLookupError:
                continue  # it has just ended

    def set_link(self, state: str) -> None:
        """"down" cuts the host off without telling the others; "up" connects it again."""
        run("ip", "-n", self.switch, "link", "set", self.link, state)


class Network:
    """`count` hosts; with SSH servers with keys of their own, or without."""

    def __init__(self, count: int, with_ssh: bool) -> None:
        self.with_ssh = with_ssh
        self.prefix = f"fs{os.getpid()}"
        self.switch = f"{self.prefix}sw"
        self.folder = Path(tempfile.mkdtemp(prefix="foresight_hosts_"))
        self.hosts: list[Host] = []
        self.servers: dict[str, subprocess.Popen[bytes]] = {}
        try:
            run("ip", "netns", "add", self.switch)
            run("ip", "-n", self.switch, "link", "add", "bridge", "type", "bridge")
            run("ip", "-n", self.switch, "link", "set", "bridge", "up")
            for index in range(count):
                self.hosts.append(Host(self, index))
            if not with_ssh:
                self._write_agent()
                return
            PRIVILEGE_FOLDER.mkdir(exist_ok=True)
            self._write_keys()
            for host in self.hosts:
                self.start(host)
        except BaseException:
            self.close()
            raise

    def _write_keys(self) -> None:
        for name in ("host_key", "user_key"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name)
        (self.folder / "sshd_config").write_text(
            f"HostKey {self.folder}/host_key\nAuthorizedKeysFile {self.folder}/user_key.pub\nStrictModes no\nUsePAM no\n"
            "PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n")
        (self.folder / "ssh_config").write_text(
            f"Host *\n  IdentityFile {self.folder}/user_key\n  IdentitiesOnly yes\n  StrictHostKeyChecking no\n"
            "  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n")

    def _write_agent(self) -> None:
        """The agent that mpirun calls like ssh, with an address and a command."""
        ways = "".join(f"{host.address}) set -- {shlex.join(host.command('sh', '-c'))} \"$*\" ;;\n" for host in self.hosts)
        agent = self.folder / "agent"
        agent.write_text(f'#!/bin/sh\naddress=$1\nshift\ncase $address in\n{ways}esac\nexec "$@"\n')
        agent.chmod(0o700)

    def agent(self) -> str:
        """mpirun's plm_rsh_agent."""
        return f"ssh -F {self.folder}/ssh_config" if self.with_ssh else f"{self.folder}/agent"

    def start(self, host: Host) -> None:
        """Starts the host's SSH server, also after the host was killed; returns once it answers."""
        if not self.with_ssh:
            return
        line = host.command(SSHD, "-D", "-e", "-f", self.folder / "sshd_config", "-o", f"ListenAddress={host.address}")
        with (self.folder / f"{host.name}.log").open("ab") as log:
            self.servers[host.name] = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 20
        while run(*host.command("ssh", "-F", self.folder / "ssh_config", host.address, "true"), check=False).returncode != 0:
            if time.monotonic() > end:
                raise RuntimeError(f"the SSH server of {host.name} does not answer:\n{(self.folder / f'{host.name}.log').read_text()}")
            time.sleep(0.1)

    def close(self) -> None:
        for host in self.hosts:
            host.send(signal.SIGKILL)
        for server in self.servers.values():
            server.kill()
            server.wait()
        for host in self.hosts:
            run("ip", "netns", "del", host.namespace, check=False)
        run("ip", "netns", "del", self.switch, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
