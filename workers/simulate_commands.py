"""``recsql simulate``: what policies earn from users whose preferences are known."""

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsql.cli.output import Json, console, emit, progress_bars, table
from recsql.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from workers.simulator.config import SimulatorConfig
    from workers.simulator.load import Simulation
    from workers.simulator.world import World


def simulate(
    users: Annotated[int, typer.Option(help="Simulated users.")] = 300,
    sessions: Annotated[int, typer.Option(help="Sessions of each user.")] = 5,
    catalogue: Annotated[
        str, typer.Option(help="Items: simulated, or movielens (films of MovieLens 100K, topics from its ratings).")
    ] = "simulated",
    items: Annotated[int, typer.Option(help="Size of the simulated catalogue.")] = 240,
    policies: Annotated[
        str,
        typer.Option(help="What to compare, by commas: random, popular, greedy, patient, or models: q_learning …"),
    ] = "random,greedy",
    log: Annotated[str, typer.Option(help="Policy whose log models are trained on and --load writes.")] = "popular",
    explore: Annotated[float, typer.Option(help="Probability with which it gives a position to chance.")] = 0.5,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="A field of the simulator as NAME=VALUE: satiation=0; can be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all chance.")] = 0,
    load: Annotated[
        bool, typer.Option("--load", help="Write the log to the database: items, users, requests, impressions, events.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Let simulated users meet policies, and show what a session is worth under each, with 95 % intervals."""
    from workers.simulator import comparison
    from workers.simulator.environment import Environment
    from workers.simulator.rollout import record, roll_out

    names = [name for name in re.split(r"[,\s]+", policies) if name]
    comparison.check_names(names)
    if seed < 0:
        raise InputError(f"a seed is a whole number from 0, not {seed}")
    config = _config(changes or [])
    world = _world(config, catalogue, users, items, seed)
    logging_policy = comparison.make_policy(log, world, explore)
    found, learnt = [], [name for name in names if name not in comparison.KNOWN]
    with progress_bars() as progress:

        def bar(label: str) -> Any:
            task = progress.add_task(label, total=users * sessions, note="")
            return lambda done, total: progress.update(task, completed=done, total=total, note="sessions")

        simulation = None
        if load or learnt:
            from workers.simulator.load import Simulation

            _, logged = record(Environment(config, world, seed), logging_policy, sessions, bar(f"log {log}"))
            simulation = Simulation(config, world, seed, logging_policy.name, logging_policy.explore, logged)
        models = _learn(learnt, simulation, seed, progress) if simulation and learnt else {}
        fresh = Environment(config, world, seed + 1)
        greedy = roll_out(fresh, comparison.make_policy("greedy", world), sessions, bar("greedy"))
        for name in names:
            policy = models.get(name) or comparison.make_policy(name, world)
            earned = greedy if name == "greedy" else roll_out(fresh, policy, sessions, bar(name))
            found.append(comparison.compared(name, earned, greedy))
    loaded = _load(simulation) if load and simulation else None
    if as_json:
        emit({"policies": [_flat(vars(one)) for one in found], "loaded": loaded}, True)
        return
    rows = [{name: _told(value) for name, value in vars(one).items()} for one in found]
    emit({}, False, table(rows, f"{users:,} users, {sessions} sessions each, {world.n_items:,} items"))
    if loaded:
        emit({}, False, table(loaded, "Loaded"))


def _config(changes: list[str]) -> "SimulatorConfig":
    from pydantic import ValidationError

    from workers.model_options import first_problem
    from workers.simulator.config import SimulatorConfig

    given: dict[str, Any] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise ConfigurationError(f"--set {change} is no NAME=VALUE, like satiation=0")
        given[name.strip()] = None if value.strip() == "none" else value.strip()
    try:
        return SimulatorConfig(**given)
    except ValidationError as error:
        fields = ", ".join(SimulatorConfig.model_fields)
        raise ConfigurationError(f"--set {first_problem(error)}; fields are {fields}") from None


def _world(config: "SimulatorConfig", catalogue: str, users: int, items: int, seed: int) -> "World":
    from workers.simulator.world import movielens_world, simulated_world

    match catalogue:
        case "simulated":
            return simulated_world(config, users, items, seed)
        case "movielens":
            return movielens_world(config, users, seed, lambda text: console.print(text, style="dim"))
        case _:
            raise InputError(f"there is no catalogue {catalogue!r}; take simulated or movielens")


def _learn(names: list[str], simulation: "Simulation", seed: int, progress: Any) -> dict[str, Any]:
    from workers.model_options import read_model_options
    from workers.models.base import TrainingOptions
    from workers.simulator.comparison import learn_model
    from workers.simulator.policies import ModelPolicy
    from workers.simulator.training import training_data

    world, options = simulation.world, read_model_options()
    data, models = training_data(simulation.log, world.n_users, world.n_items), {}
    for name in names:
        task = progress.add_task(f"train {name}", total=None, note="")

        def told(done: int, total: int, note: str, task: Any = task) -> None:
            progress.update(task, completed=done, total=total, note=note)

        model = learn_model(name, data, TrainingOptions(seed, progress=told), options.get(name, {}))
        models[name] = ModelPolicy(name, model)
    return models


def _load(simulation: "Simulation") -> dict[str, Any]:
    from recsql import db
    from recsql.activity import refresh_activity
    from recsql.migrate import migrated_url
    from workers.simulator.load import load

    with db.connect(migrated_url()) as connection:
        loaded = load(connection, simulation)
        refresh_activity(connection)
    return vars(loaded)


def _flat(named: dict[str, Any]) -> dict[str, Any]:
    """Figures with their intervals as ``NAME``, ``NAME.lo`` and ``NAME.hi``; null for what cannot be told."""
    flat: dict[str, Any] = {}
    for name, value in named.items():
        if isinstance(value, str):
            flat[name] = value
            continue
        for key, number in {name: value.value, f"{name}.lo": value.lo, f"{name}.hi": value.hi}.items():
            flat[key] = number if number == number else None
    return flat


def _told(value: Any) -> str:
    return value if isinstance(value, str) else f"{value.value:.3f} ({value.lo:.3f} to {value.hi:.3f})"
