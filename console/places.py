"""Where an environment is, and how it is read and changed: the staging system on this machine, or a Google Cloud project.

A place is made for one command and closed after it. The twin's variables are this process's own while it is open, so that
Google's clients and Pulumi's plugins go through the twin's front door and nowhere else.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from regreen.commands import UsageError, cache_root
from regreen.facts.cloud import Snapshot, collect
from regreen.facts.cloud.experiments import Reach
from regreen.facts.cloud.google import CloudError, Google

if TYPE_CHECKING:
    from infra.engine import Engine
    from infra.executor import PulumiExecutor
    from regreen.environment import Environment

HERE: Final = Path(__file__).resolve().parent.parent


@dataclass(slots=True)
class Place:
    """One environment, open. `executor` is None where nothing can be changed: then `no_engine` says why, and what to do."""

    environment: Environment
    reach: Reach
    google: Google
    executor: PulumiExecutor | None = None
    no_engine: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the engine and its plugins see of the environment, for a shell as well."""

    def read(self, kinds: Sequence[str], measures: Sequence[str]) -> Snapshot:
        """A snapshot of some kinds of resources and some experiments."""
        return collect(self.environment, kinds, measures, self.google, self.reach)


def staging_folder() -> Path:
    """Where the staging system on this machine keeps its state."""
    return cache_root() / "staging"


@contextlib.contextmanager
def twin_place(environment: Environment, folder: Path, *, engine: bool) -> Iterator[Place]:
    """The staging system that runs in a folder. With `engine` it can be changed, where there is a Pulumi engine."""
    from twin.process import env
    from twin.staging_keeper import find

    facts = find(folder)
    if facts is None:
        raise UsageError("no staging system runs: start one with `invoke staging.up`")
    with surroundings(_own_authority(env(folder), folder)) as google:
        place = Place(environment, reach_of(facts, folder), _google(environment))
        with contextlib.ExitStack() as cleanup:
            if engine:
                projects = folder / "pulumi" / "projects"
                _equip(place, projects, lambda found: cleanup.enter_context(_rehearsal(folder, google, found)))
            cleanup.callback(place.google.close)
            yield place


@contextlib.contextmanager
def found_place(environment: Environment, folder: Path) -> Iterator[Place]:
    """The patient's cloud as found on a twin of its own, without processes: enough to be diagnosed, gone afterwards."""
    from twin import found
    from twin.process import down, env

    found.up(folder, environment.project.id)
    try:
        with surroundings(_own_authority(env(folder), folder)):
            place = Place(environment, Reach(), _google(environment), no_engine="a diagnosis only")
            with contextlib.closing(place.google):
                yield place
    finally:
        down(folder)


@contextlib.contextmanager
def google_place(environment: Environment, *, engine: bool) -> Iterator[Place]:
    """A project on Google Cloud, with this process's own credentials."""
    stack = environment.stack
    place = Place(environment, _reach_from(environment), _google(environment))
    if engine:
        from infra.rehearse import python_path

        variables = {"PULUMI_SKIP_UPDATE_CHECK": "true", "PYTHONPATH": python_path()}
        if stack.backend:
            variables["PULUMI_BACKEND_URL"] = stack.backend
        _equip(place, cache_root() / "stacks" / environment.name, lambda _: variables)
    with contextlib.closing(place.google):
        yield place


def _own_authority(variables: dict[str, str], folder: Path) -> dict[str, str]:
    """The twin's own authority alone for Python's clients: behind its front door is nobody else, and a bundle of all the
    world's takes longer to read than most calls last.
    """
    own = str(folder / "ca.pem")
    return {**variables, "HTTPLIB2_CA_CERTS": own, "REQUESTS_CA_BUNDLE": own}


def _equip(place: Place, folder: Path, variables: Callable[[Engine], Mapping[str, str]]) -> None:
    from infra.engine import EngineError, require_engine
    from infra.executor import PulumiExecutor

    try:
        engine = require_engine()
        place.variables = variables(engine)
        place.executor = PulumiExecutor(place.environment, engine, folder, place.variables, place.google)
    except EngineError as error:
        place.no_engine = str(error)


def _google(environment: Environment) -> Google:
    try:
        return Google(environment.project.id)
    except CloudError as error:
        raise UsageError(str(error)) from None


def _rehearsal(
    folder: Path, google: Mapping[str, str], engine: Engine
) -> contextlib.AbstractContextManager[Mapping[str, str]]:
    from infra.rehearse import environment, served

    return served(environment(folder, google, engine))


def reach_of(facts: Mapping[str, Any], folder: Path) -> Reach:
    """How experiments get at a staging system on this machine."""
    from twin.process import needed

    twin = needed(folder)
    backing = facts["backing"]

    def cool(service: str) -> None:
        twin.admin("POST", "cool", {"service": service})

    return Reach(
        balancer=facts["balancer"], database=backing.get("postgres", ""), cache=backing.get("redis", ""),
        token=facts["feed_token"], cool=cool,
    )  # fmt: skip


def _reach_from(environment: Environment) -> Reach:
    """How experiments get at a project on Google Cloud: the balancer's own host, and addresses from the environment."""
    balancer = environment.balancer
    return Reach(
        balancer=f"https://{balancer.host}" if balancer else "",
        database=os.environ.get("REGREEN_DATABASE", ""),
        cache=os.environ.get("REGREEN_CACHE_URL", ""),
        token=os.environ.get("REGREEN_FEED_TOKEN", ""),
    )


@contextlib.contextmanager
def surroundings(variables: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """This process's environment with these variables, for as long as this lasts."""
    kept = dict(os.environ)
    os.environ.update(variables)
    try:
        yield variables
    finally:
        os.environ.clear()
        os.environ.update(kept)
