"""The same work for ansible-core: the files that the agent keeps on a PC, and the checks it makes.

As fast as ansible can be told to be: pipelining, a fork for each PC, no facts,
no interpreter discovery, curve25519 (OpenSSH's own default would cost the
client 91 ms of CPU a connection). Each run starts without connections, as a
technician's does.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from agent.resources import browser_policy, desktop, kernel
from agent.resources import time as time_resource
from tests.lab.rig import base
from tests.lab.site import Site

FILES = (
    browser_policy.DENY,
    browser_policy.ALLOW,
    desktop.OPENBOX,
    desktop.XORG,
    time_resource.FILE,
    kernel.FILE,
)


class Playbook:
    """One playbook in `folder` for all PCs of a site; its files are what pc-01 has now."""

    def __init__(self, site: Site, folder: Path, bin_directory: Path) -> None:
        self._site = site
        self._folder = folder
        self._bin = bin_directory
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "files").mkdir(parents=True)
        root = site.pc(1).root
        self._sources = {path: folder / "files" / str(at) for at, path in enumerate(FILES)}
        for path, source in self._sources.items():
            shutil.copyfile(root / path.lstrip("/"), source)
        self.pcs = site.lab.pcs()
        self._settings()

    def change(self) -> None:
        """Another host on the allow-list, as a technician's edit makes it."""
        source = self._sources[browser_policy.ALLOW]
        document = json.loads(source.read_text())
        hosts = [host for host in document[browser_policy.ALLOW_KEY] if not host.startswith("prova-")]
        document[browser_policy.ALLOW_KEY] = [*hosts, f"prova-{time.time_ns()}.example"]
        source.write_text(json.dumps(document, indent=1) + "\n")

    def run(self) -> tuple[float, int]:
        """Seconds of one run, and how many PCs it changed. RuntimeError where it fails."""
        control = self._folder / "control"
        shutil.rmtree(control, ignore_errors=True)
        argv = [str(self._bin / "ansible-playbook"), "-i", "inventory", "playbook.json"]
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(self._folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(self._folder / "home"),
            "LC_ALL": "C.UTF-8",
        }
        begin = time.perf_counter()
        done = subprocess.run(
            self._site.lab.network.inside("server", argv),
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        took = time.perf_counter() - begin
        self._hang_up(control)
        if done.returncode != 0:
            raise RuntimeError(f"ansible-playbook: {(done.stderr + done.stdout)[-800:]}")
        recap = [line for line in done.stdout.splitlines() if "changed=" in line]
        return took, sum("changed=0 " not in line for line in recap)

    def _settings(self) -> None:
        key = base.ssh_key(self._site.lab.site.bases)
        options = f"-i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        options += " -o KexAlgorithms=curve25519-sha256 -o ControlMaster=auto -o ControlPersist=60s"
        (self._folder / "ansible.cfg").write_text(
            f"[defaults]\nforks = {len(self.pcs)}\nhost_key_checking = False\ngathering = explicit\n"
            "[ssh_connection]\npipelining = True\n"
            f"ssh_args = {options}\ncontrol_path_dir = {self._folder}/control\ncontrol_path = %%h\n"
        )
        (self._folder / "inventory").write_text(
            "".join(
                f"{pc.address} ansible_user=root ansible_python_interpreter=/usr/bin/python3\n"
                for pc in self.pcs
            )
        )
        (self._folder / "playbook.json").write_text(json.dumps(self._plays(), indent=1))

    def _plays(self) -> Sequence[object]:
        copies = [
            {
                "name": path,
                "ansible.builtin.copy": {"src": str(source), "dest": path, "mode": "0644", "owner": "root"},
            }
            for path, source in self._sources.items()
        ]
        keys = [line.split(" = ")[0] for line in self._sources[kernel.FILE].read_text().splitlines()[1:]]
        check = {
            "name": "the kernel's parameters",
            "ansible.builtin.command": {"argv": ["sysctl", "-n", *keys]},
            "changed_when": False,
        }
        return [{"hosts": "all", "gather_facts": False, "tasks": [*copies, check]}]

    def _hang_up(self, control: Path) -> None:
        """End the connections that ansible leaves open for a minute."""
        for socket in control.glob("*"):
            subprocess.run(
                ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "x"], capture_output=True, check=False
            )
