"""Processes that this package started: known by pid and start time, so that no other one is ever signalled."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.waiting import PATIENCE_SECONDS, wait_until

#: Below the ports that systems hand out by themselves: nobody's outgoing connection can take one.
PORTS = range(20_000, 32_000)


class Process:
    """A server process, noted in a pid file."""

    def __init__(self, pid_file: Path) -> None:
        self.pid_file = pid_file

    def start(self, command: list[str], *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        """Start the command in a session of its own; does nothing where it runs."""
        if self.pid() is not None:
            return
        # Not by subprocess: nobody keeps an object for it, and the next run of this script ends it.
        outputs = [
            (os.POSIX_SPAWN_OPEN, number, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) for number in (1, 2)
        ]
        silence = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        pid = os.posix_spawn(
            command[0], command, environment or os.environ, file_actions=[silence, *outputs], setsid=True
        )
        self.pid_file.write_text(json.dumps({"pid": pid, "since": state_and_start(pid)[1]}))

    def pid(self) -> int | None:
        """The pid, while the very process that was started is alive."""
        try:
            noted = json.loads(self.pid_file.read_text())
        except FileNotFoundError:
            return None
        pid = int(noted["pid"])
        state, since = state_and_start(pid)
        if since == noted["since"] and not has_ended(pid, state):
            return pid
        # A child that ended stays in the table, where PostgreSQL takes it for running, until somebody has asked for it.
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return None

    def send(self, number: int) -> None:
        """Send a signal, if the process is alive."""
        if (pid := self.pid()) is not None:
            os.kill(pid, number)

    def end(self, number: int = signal.SIGKILL) -> None:
        """Send the signal and wait until the process is gone."""
        self.send(number)
        wait_until(lambda: self.pid() is None, f"the process of {self.pid_file} has ended")
        self.pid_file.unlink(missing_ok=True)

    def wait_for_answer(self, ask: Callable[[], object], *, failing: type[Exception], log: Path) -> None:
        """Ask until that raises ``failing`` no more; where the process has ended or time is up, with the log's end."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                ask()
                return
            except failing as error:
                if self.pid() is None or time.monotonic() > give_up_at:
                    said = log.read_text(errors="replace")[-2_000:]
                    raise RuntimeError(f"The server of {log} does not answer ({error}):\n{said}") from error
            time.sleep(0.05)

    def freeze(self) -> None:
        """Stop it in its tracks: its connections stay open and nothing answers, from the return of this call on."""
        self.send(signal.SIGSTOP)
        wait_until(self._is_frozen, f"the process of {self.pid_file} has stopped")

    def thaw(self) -> None:
        """Let it go on, with what it held and what waits on its sockets."""
        self.send(signal.SIGCONT)

    def _is_frozen(self) -> bool:
        # A signal stops the threads one by one, each when it next leaves the kernel.
        pid = self.pid()
        return pid is None or all(state_and_start(int(thread.name))[0] in ("T", "") for thread in threads_of(pid))


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that other users reach: those of pytest are for its own user alone."""
    with tempfile.TemporaryDirectory(prefix="horizon_servers_") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def threads_of(pid: int) -> list[Path]:
    """Each thread of a process as ``/proc/PID/task/THREAD``."""
    return list(Path(f"/proc/{pid}/task").iterdir())


def has_ended(pid: int, state: str) -> bool:
    """Whether nothing of a process is left: after its first thread, others may still hold its sockets for a moment."""
    try:
        return state in ("", "X") or (state == "Z" and len(threads_of(pid)) < 2)
    except FileNotFoundError:
        return True


def state_and_start(pid: int) -> tuple[str, str]:
    """The state letter of a process and when it began, both empty where there is none (Linux: ``/proc``)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", ""
    return fields[0], fields[19]


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    free: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if is_free(port):
            free.append(port)
        if len(free) == count:
            return free
    raise RuntimeError(f"No {count} free ports between {PORTS.start} and {PORTS.stop}.")


def is_free(port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
