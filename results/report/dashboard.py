"""A run in optuna-dashboard: a copy of its record, with all that is known of each candidate as attributes.

The dashboard can rename and delete studies. It gets a copy in memory, which follows the run, so that no
click in a browser changes a record.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.distributions import FloatDistribution
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from results import units
from results.analysis.choices import choices
from results.analysis.frontier import frontier
from results.family.family import Family
from search_space.architecture.architecture import Architecture
from search_space.errors import ArchitectureError, SettingsError
from searcher.objectives import OBJECTIVES
from searcher.plan.confirmation import confirmed
from searcher.record.candidate import Candidate
from searcher.record.optuna_logging import quiet_optuna
from searcher.record.records import Records

HOST = "127.0.0.1"
_EVERY_SECONDS = 10.0
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def copied(run_dir: Path, records: Records) -> InMemoryStorage:
    """Return a run's ended candidates as an Optuna study in memory, in the order of proposal.

    A trial's parameters are what the network chose, its values the objectives at the highest rung that it
    reached, and its attributes the architecture's line, digest, rung, everything measured, and whether it is
    on a frontier or in the family. A candidate that was held below the last rung is ``PRUNED``.
    """
    storage = InMemoryStorage()
    names = records.objectives.names
    directions = [StudyDirection.MAXIMIZE] + [StudyDirection.MINIMIZE] * (len(names) - 1)
    with quiet_optuna():
        study = storage.create_new_study(directions, run_dir.resolve().name)
    storage.set_study_system_attr(study, "study:metric_names", list(names))
    tags = _tags(run_dir, records)
    ended = [candidate for candidate in records.candidates() if candidate.state != "open"]
    chosen = [_parameters(candidate.architecture) for candidate in ended]
    ranges = _ranges(chosen)
    for candidate, parameters in zip(ended, chosen, strict=True):
        trial = _trial(candidate, parameters, ranges, names, tags.get(candidate.digest, {}))
        storage.create_new_trial(study, trial)
    return storage


def _tags(run_dir: Path, records: Records) -> dict[str, dict[str, str]]:
    """Return frontier and family of each architecture by its digest."""
    measurements = records.measurements()
    tags: dict[str, dict[str, str]] = {}
    for purpose, word in (("search", "provisional"), ("confirmation", "confirmed")):
        for network in frontier(measurements, purpose):
            tags.setdefault(network.digest, {})["frontier"] = word
    for candidate in confirmed(records):
        tags.setdefault(candidate.digest, {})["chance"] = units.chance(candidate.chance)
    path = run_dir / "family.json"
    for member in Family.read(path).singles if path.is_file() else ():
        tags.setdefault(member.digest, {})["family"] = member.name
    return tags


def _parameters(architecture: str) -> dict[str, float]:
    try:
        return {choice.name: float(choice.value) for choice in choices(Architecture.parse(architecture))}
    except ArchitectureError:
        return {}


def _ranges(chosen: Sequence[Mapping[str, float]]) -> dict[str, FloatDistribution]:
    """Return the range of each parameter that differs between candidates."""
    values: dict[str, list[float]] = {}
    for parameters in chosen:
        for name, value in parameters.items():
            values.setdefault(name, []).append(value)
    return {
        name: FloatDistribution(min(chosen_values), max(chosen_values))
        for name, chosen_values in values.items()
        if min(chosen_values) < max(chosen_values)
    }


def _trial(
    candidate: Candidate,
    parameters: Mapping[str, float],
    ranges: Mapping[str, FloatDistribution],
    objectives: Sequence[str],
    tags: Mapping[str, str],
) -> FrozenTrial:
    metrics = [candidate.latest.get(OBJECTIVES[name].metric) for name in objectives]
    values = [float(value) for value in metrics if value is not None]
    measured = candidate.state in _STATES and len(values) == len(objectives)
    shown = {name: value for name, value in parameters.items() if name in ranges}
    return create_trial(
        state=_STATES[candidate.state] if measured else TrialState.FAIL,
        values=values if measured else None,
        params=shown,
        distributions={name: ranges[name] for name in shown},
        user_attrs={
            "architecture": candidate.architecture,
            "digest": candidate.digest,
            "epochs": candidate.epochs,
            "state": candidate.state,
            **candidate.latest,
            "macs": candidate.macs,
            **tags,
            **({"reason": candidate.reason} if candidate.reason else {}),
        },
    )


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: requests come from the user's own browser."""


class Dashboard:
    """The dashboard of a run on this machine's own address, which follows the run while it is open.

    Args:
        run_dir: folder of the run.
        port: port to listen on; 0 takes a free one.

    Raises:
        RecordError: there is no run in the folder, or its record cannot be read.
        SettingsError: optuna-dashboard is not installed, or the port is taken.
    """

    def __init__(self, run_dir: Path, port: int) -> None:
        try:
            from optuna_dashboard import wsgi
        except ImportError as error:
            raise SettingsError(
                "optuna-dashboard is not installed", hint="pip install 'movinas[dashboard]'"
            ) from error
        self._make = wsgi
        self._run_dir, self._records = run_dir, Records.reading(run_dir)
        self._seen: tuple[float, ...] = ()
        self._current: Application | None = None
        self.refresh()
        try:
            self._server = make_server(HOST, port, self._answer, server_class=_Server, handler_class=_Quiet)
        except OSError as error:
            raise SettingsError(
                f"port {port} cannot be used: {error.strerror}", hint="give another one with --port"
            ) from error

    @property
    def url(self) -> str:
        """Address for a browser."""
        return f"http://{HOST}:{self._server.server_port}/"

    def refresh(self) -> bool:
        """Copy the record again if there is anything new in it; return whether there was."""
        self._records.refresh()
        path = self._run_dir / "family.json"
        states = [candidate.state for candidate in self._records.candidates()]
        family = path.stat().st_mtime if path.is_file() else 0.0
        seen = (
            float(len(self._records.measurements())),
            float(states.count("open")),
            float(len(states)),
            family,
        )
        if seen == self._seen:
            return False
        self._current = self._make(copied(self._run_dir, self._records))
        self._seen = seen
        return True

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        assert self._current is not None, "made before the server"
        return self._current(environ, start_response)

    def serve(self) -> None:
        """Serve until Ctrl-C or :meth:`stop`."""
        stopped = threading.Event()

        def keep_up() -> None:
            while not stopped.wait(_EVERY_SECONDS):
                self.refresh()

        threading.Thread(target=keep_up, daemon=True).start()
        try:
            self._server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            pass
        finally:
            stopped.set()
            self._server.server_close()

    def stop(self) -> None:
        """End :meth:`serve` from another thread."""
        self._server.shutdown()


def serve(run_dir: Path, port: int, say: Callable[[str], None]) -> None:
    """Open the dashboard of a run and say where; return after Ctrl-C.

    Raises:
        RecordError: there is no run in the folder, or its record cannot be read.
        SettingsError: optuna-dashboard is not installed, or the port is taken.
    """
    dashboard = Dashboard(run_dir, port)
    say(f"{dashboard.url} shows a copy of {run_dir}; Ctrl-C ends it")
    dashboard.serve()
