"""A language host for Python programs: what `pulumi up` asks to run a project's program.

Pulumi's own is a Go program that its installer brings along; where the engine had to be built from the Go proxy, which
does not serve that program, this file stands beside the CLI instead. It imports grpc, protobuf and pulumi only, and is
copied there, so it must not import anything of Regreen. It says who it is in `pulumi about` and in its plugin version.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import language_pb2 as messages
from pulumi.runtime.proto import language_pb2_grpc as services
from pulumi.runtime.proto import plugin_pb2

VERSION: Final = "0.1.0"
#: The program's runner says with this code that it has shown the error itself.
SHOWN: Final = 32
_HERE: Final = Path(__file__).resolve().parent
_PACKAGES: Final = """
import importlib.metadata as m, json
found = []
for d in m.distributions():
    name = d.metadata["Name"] or ""
    if not name.lower().startswith("pulumi"):
        continue
    for f in d.files or ():
        if f.name == "pulumi-plugin.json":
            try:
                found.append([name, d.version, json.loads(d.locate_file(f).read_text())])
            except (OSError, ValueError):
                pass
print(json.dumps(found))
"""
_INSTALLED: Final = """
import importlib.metadata as m, json
print(json.dumps(sorted({(d.metadata["Name"], d.version) for d in m.distributions() if d.metadata["Name"]})))
"""


def interpreter(info: messages.ProgramInfo) -> str:
    """The Python that runs a program: its virtual environment's, else PULUMI_PYTHON_CMD, else this one."""
    options: Mapping[str, Any] = json_format.MessageToDict(info.options) if info.HasField("options") else {}
    named = options.get("virtualenv")
    if named:
        folder = Path(info.root_directory or ".") / str(named)
        for inside in ("bin/python", "Scripts/python.exe"):
            if (folder / inside).exists():
                return str(folder / inside)
        raise FileNotFoundError(
            f"Pulumi.yaml names the virtual environment {named!r}, and {folder} is none; make it, or remove 'virtualenv'"
        )
    return os.environ.get("PULUMI_PYTHON_CMD") or sys.executable


def _asked(python: str, script: str) -> Any:
    done = subprocess.run([python, "-I", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


class Host(services.LanguageRuntimeServicer):
    """One host serves one engine. Whatever is not here is answered UNIMPLEMENTED by the stubs."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, ARG002 - the stub's names
        self._engine = request.engine_address or self._engine
        return messages.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, ARG002
        return plugin_pb2.PluginInfo(version=VERSION)

    def About(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        python = self._python(request.info, context)
        version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True, timeout=60)
        return messages.AboutResponse(
            executable=python,
            version=version.stdout.split()[-1],
            metadata={"language host": f"Regreen's own {VERSION}, not Pulumi's"},
        )

    def GetRequiredPackages(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        found = []
        for name, version, plugin in _asked(self._python(request.info, context), _PACKAGES):
            if plugin.get("resource"):
                found.append(
                    plugin_pb2.PackageDependency(
                        name=plugin.get("name") or name.replace("pulumi-", "", 1).replace("_", "-"),
                        kind="resource",
                        version="v" + str(plugin.get("version") or version).removeprefix("v"),
                        server=plugin.get("server") or "",
                    )
                )
        return messages.GetRequiredPackagesResponse(packages=found)

    def GetProgramDependencies(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        installed = _asked(self._python(request.info, context), _INSTALLED)
        return messages.GetProgramDependenciesResponse(
            dependencies=[messages.DependencyInfo(name=name, version=version) for name, version in installed]
        )

    def RuntimeOptionsPrompts(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, ARG002
        return messages.RuntimeOptionsResponse()

    def InstallDependencies(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        """Installs into the named virtual environment only: another interpreter belongs to someone else."""
        folder = Path(request.info.program_directory or request.info.root_directory or request.directory)
        wanted = folder / "requirements.txt"
        options = json_format.MessageToDict(request.info.options)
        if not wanted.exists() or not options.get("virtualenv"):
            yield messages.InstallDependenciesResponse(stdout=b"nothing to install: the present Python is used\n")
            return
        command = [self._python(request.info, context), "-m", "pip", "install", "-r", str(wanted)]
        child = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        with self._watched(child):
            for line in child.stdout or ():
                yield messages.InstallDependenciesResponse(stdout=line)
        if child.returncode:
            context.abort(grpc.StatusCode.INTERNAL, f"pip ended with {child.returncode}")

    def Run(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        runner = _HERE / "pulumi-language-python-exec"
        if not runner.exists():
            return messages.RunResponse(error=f"{runner} is missing; run `invoke setup` again")
        command = [self._python(request.info, context), "-u", str(runner)]
        flags = {
            "monitor": request.monitor_address, "engine": self._engine, "project": request.project,
            "root_directory": request.info.root_directory, "stack": request.stack, "pwd": request.pwd,
            "dry_run": "true" if request.dryRun else "false", "parallel": str(request.parallel),
            "organization": request.organization,
        }  # fmt: skip
        for name, value in flags.items():
            if value:
                command += [f"--{name}", value]
        entry = Path(request.info.program_directory or request.pwd) / (request.info.entry_point or ".")
        command += [str(entry), *request.args]
        environment = {
            **os.environ,
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        child = subprocess.Popen(command, cwd=request.pwd or None, env=environment, stdin=subprocess.DEVNULL)
        with self._watched(child):
            code = child.wait()
        if code == SHOWN:
            return messages.RunResponse(bail=True)
        if code:
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            return messages.RunResponse(error=f"the program ended {how}")
        return messages.RunResponse()

    def RunPlugin(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        program = request.info.program_directory or request.program
        command = [self._python(request.info, context), "-u", program, *request.args]
        environment = dict(item.split("=", 1) for item in request.env if "=" in item) or dict(os.environ)
        child = subprocess.Popen(
            command, cwd=request.pwd or None, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        with self._watched(child):
            for line in child.stdout or ():
                yield messages.RunPluginResponse(stdout=line)
        yield messages.RunPluginResponse(exitcode=child.returncode)

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, ARG002
        self.stop()
        return empty_pb2.Empty()

    def stop(self) -> None:
        """Ask every running program to end."""
        with self._lock:
            for child in self._children:
                child.send_signal(signal.SIGTERM)

    def _watched(self, child: subprocess.Popen[bytes]) -> _Watched:
        return _Watched(child, self._children, self._lock)

    def _python(self, info: messages.ProgramInfo, context: grpc.ServicerContext) -> str:
        try:
            return interpreter(info)
        except FileNotFoundError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
            raise AssertionError("abort raises") from error


class _Watched:
    """A child that is known while it runs, and reaped."""

    def __init__(
        self, child: subprocess.Popen[bytes], children: set[subprocess.Popen[bytes]], lock: threading.Lock
    ) -> None:
        self._child, self._children, self._lock = child, children, lock

    def __enter__(self) -> None:
        with self._lock:
            self._children.add(self._child)

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self._child.kill()
        self._child.wait()
        if self._child.stdout:
            self._child.stdout.close()
        with self._lock:
            self._children.discard(self._child)


def _end_with_parent(host: Host, ended: threading.Event) -> None:
    """An engine that was killed cannot say goodbye: its children notice by their parent's id."""
    parent = os.getppid()
    while not ended.wait(1.0):
        if os.getppid() != parent:
            host.stop()
            ended.set()


def main() -> int:
    """Serve on a free loopback port; its number is the first line on standard output."""
    parser = argparse.ArgumentParser(description="Regreen's own Python language host")
    parser.add_argument("engine", nargs="?", default="")
    chosen, _ = parser.parse_known_args()
    host, ended = Host(chosen.engine), threading.Event()
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", 400 * 1024 * 1024)])
    services.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    print(port, flush=True)
    watch = threading.Thread(target=_end_with_parent, args=(host, ended), daemon=True)
    watch.start()
    ended.wait()
    host.stop()
    server.stop(1.0).wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
