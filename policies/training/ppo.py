"""PPO by RLlib's new API stack: the chooser's network as an RLModule, and a runner that steps all runs in one call.

RLlib's own runner takes a vector environment apart into single steps, in Python, and that costs several times what a
step does here. This one keeps whole runs in arrays, and hands them over as RLlib's episodes at their end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Self, cast

import gymnasium
import numpy as np
import ray
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.core import DEFAULT_MODULE_ID, Columns
from ray.rllib.core.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.apis import ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from policies.chooser import spec
from policies.chooser.checkpoint import Span
from policies.chooser.network import Attending
from policies.training.grounds import Grounds, beside_others, parted, seen, size_of
from policies.training.settings import PpoSettings

REWARD_SCALE = 10.0
"""Scores change by hundredths: rewards are so many times that."""


class ChooserModule(TorchRLModule, ValueFunctionAPI):
    """The chooser's network behind RLlib's interface; observations are rows of ``seen``."""

    def setup(self) -> None:
        """Make the network."""
        self.network = Attending(width=cast(dict[str, int], self.model_config)["width"])

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, torch.Tensor]:
        scores, value = self.network(*parted(batch[Columns.OBS]))
        return {Columns.ACTION_DIST_INPUTS: scores, Columns.EMBEDDINGS: value}

    def compute_values(self, batch: dict[str, Any], embeddings: torch.Tensor | None = None) -> torch.Tensor:
        """Return the values of situations (n,)."""
        if embeddings is not None:
            return embeddings
        value: torch.Tensor = self.network(*parted(batch[Columns.OBS]))[1]
        return value


class GroundsEnv(gymnasium.vector.VectorEnv[Any, Any, Any]):
    """Practice grounds as a Gymnasium vector environment of rows: it tells RLlib the spaces, and keeps the grounds."""

    def __init__(self, grounds: Grounds) -> None:
        self.grounds, self.num_envs = grounds, grounds.worlds
        size, count = size_of(grounds)
        self.single_observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.single_action_space = spaces.Discrete(count)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, self.num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, self.num_envs)


class RunsRunner(SingleAgentEnvRunner):
    """Plays all runs of its grounds to their end, and returns each as one episode."""

    def make_env(self) -> None:
        """Make the grounds that the configuration hands in."""
        self.env = GroundsEnv(self.config.env_config["make"]())
        self.num_envs = self.env.num_envs
        self._random = torch.Generator()
        self.seen: tuple[dict[str, Span], dict[str, Span]] = ({}, {})
        self.timed, self.steps, self.score = 0.0, 0, 0.0

    def reseed(self, seed: int) -> None:
        """What is random from now on follows from a seed."""
        self._random.manual_seed(seed)
        cast(GroundsEnv, self.env).grounds.reseed(seed)

    def sample(self, **kwargs: Any) -> list[SingleAgentEpisode]:
        """Play runs, picking candidates at random as the network's scores say."""
        grounds, network = cast(GroundsEnv, self.env).grounds, cast(ChooserModule, self.module).network
        began = time.perf_counter()
        grounds.restart()
        rows, picked, scored, chances, gained, running = ([] for _ in range(6))
        with torch.inference_mode():
            while not bool(grounds.over.all()):
                row = seen(grounds)
                running.append(~grounds.over)
                scores, _ = network(*parted(row))
                log_chance = torch.log_softmax(scores, dim=-1)
                choice = torch.multinomial(log_chance.exp(), 1, generator=self._random)[:, 0]
                rows.append(row)
                picked.append(choice)
                scored.append(scores)
                chances.append(log_chance.gather(1, choice[:, None])[:, 0])
                gained.append(grounds.step(choice) * REWARD_SCALE)
            rows.append(seen(grounds))
        lasted = torch.stack(running).sum(dim=0)
        # What comes of the world alone is taken back look by look, and what others gain later at the end of a run.
        every, steps = beside_others(torch.stack(gained), grounds.alike), lasted.tolist()
        late = (every * ~torch.stack(running)).sum(dim=0)
        every[lasted - 1, torch.arange(len(late))] += late
        tables = [torch.stack(each, dim=1).numpy() for each in (rows, picked, list(every), scored, chances)]
        episodes = [_episode(steps[n], *(table[n] for table in tables)) for n in range(self.num_envs)]
        self._increase_sampled_metrics(sum(steps), len(episodes))  # type: ignore[no-untyped-call]
        self._done_episodes_for_metrics.extend(episodes)
        self.seen = _ranges(torch.stack(rows[:-1]), torch.stack(running))
        self.steps, self.score = sum(steps), float(grounds.score.mean())
        self.timed = time.perf_counter() - began
        return episodes


def _ranges(rows: torch.Tensor, running: torch.Tensor) -> tuple[dict[str, Span], dict[str, Span]]:
    """The least and the most of each number in rows (T, W, size) of runs that went on (T, W)."""
    told, around, there = parted(rows[running])
    tables = (told[there], spec.CANDIDATE), (around, spec.SITUATION)
    found = [
        dict(zip(names, zip(table.amin(dim=0).tolist(), table.amax(dim=0).tolist(), strict=True), strict=True))
        for table, names in tables
    ]
    return found[0], found[1]


def _episode(
    steps: int, rows: np.ndarray, picked: np.ndarray, gained: np.ndarray, scores: np.ndarray, chances: np.ndarray
) -> SingleAgentEpisode:
    outputs = {Columns.ACTION_DIST_INPUTS: scores, Columns.ACTION_LOGP: chances}
    return SingleAgentEpisode(
        observations=InfiniteLookbackBuffer(rows[: steps + 1]),
        actions=InfiniteLookbackBuffer(picked[:steps]),
        rewards=InfiniteLookbackBuffer(gained[:steps]),
        infos=InfiniteLookbackBuffer([{}] * (steps + 1)),
        extra_model_outputs={name: InfiniteLookbackBuffer(each[:steps]) for name, each in outputs.items()},
        terminated=True,
        len_lookback_buffer=0,
    )


class Trainer:
    """PPO that practises in this process; Ray is started for it where nobody has, and ended after.

    ``seen`` are the least and the most that each number of candidates and of the situation has been so far.
    """

    def __init__(self, settings: PpoSettings, grounds: Grounds) -> None:
        self._settings, self._grounds = settings, grounds
        self.seen: tuple[dict[str, Span], dict[str, Span]] = ({}, {})

    def __enter__(self) -> Self:
        self._started = not ray.is_initialized()
        if self._started:
            # One process practises and learns: Ray has nothing to spread, and is to hold little.
            ray.init(
                address="local",
                num_cpus=1,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=80_000_000,
                _node_ip_address="127.0.0.1",
            )
        logging.getLogger("ray.rllib").setLevel(logging.ERROR)
        self._algorithm = _algorithm(self._settings, lambda: self._grounds)
        self._learner = cast(Any, self._algorithm.learner_group)._learner
        return self

    def __exit__(self, *_: object) -> None:
        self._algorithm.stop()  # type: ignore[no-untyped-call]
        if self._started:
            ray.shutdown()

    def network(self) -> Attending:
        """The network as it is now."""
        return cast(ChooserModule, self._algorithm.get_module()).network

    def iterate(self, number: int) -> dict[str, Any]:
        """Practise and learn once. The same number after the same ones before gives the same runs."""
        runner = cast(RunsRunner, self._algorithm.env_runner)
        runner.reseed(self._settings.seed * 100_003 + number)
        told = self._algorithm.train()  # type: ignore[no-untyped-call]
        for known, now in zip(self.seen, runner.seen, strict=True):
            for name, (low, high) in now.items():
                least, most = known.get(name, (low, high))
                known[name] = (min(least, low), max(most, high))
        return {
            "steps": runner.steps,
            "sampled_s": runner.timed,
            "learned_s": max(float(told["time_this_iter_s"]) - runner.timed, 0.0),
            "score": runner.score,
            "entropy": float(told["learners"]["default_policy"]["entropy"]),
        }

    def state(self) -> dict[str, NDArray[Any]]:
        """All that training goes on from: weights, the optimiser's moments, and what was seen so far."""
        arrays = {f"network.{name}": each for name, each in self.network_learned().arrays().items()}
        for n, kept in self._optimizer().state_dict()["state"].items():
            arrays |= {f"moment.{n}.{name}": each.numpy() for name, each in kept.items()}
        for which, spans in zip(("candidate", "situation"), self.seen, strict=True):
            arrays |= {f"seen.{which}.{name}": np.array(span) for name, span in spans.items()}
        return arrays

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Go on from such a state; from the beginning where there is none."""
        if not arrays:
            return
        weights = {name.removeprefix("network."): each for name, each in arrays.items() if name.startswith("network.")}
        learned = Attending.of(weights).state_dict()
        for network in (self.network_learned(), self.network()):
            network.load_state_dict(learned)
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, each in arrays.items():
            kind, _, rest = name.partition(".")
            if kind == "moment":
                number, _, what = rest.partition(".")
                moments.setdefault(int(number), {})[what] = torch.from_numpy(np.array(each))
            elif kind == "seen":
                which, _, what = rest.partition(".")
                self.seen[which == "situation"][what] = (float(each[0]), float(each[1]))
        optimizer = self._optimizer()
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})

    def network_learned(self) -> Attending:
        """The learner's own copy of the network."""
        return cast(ChooserModule, self._learner.module[DEFAULT_MODULE_ID].unwrapped()).network

    def _optimizer(self) -> torch.optim.Optimizer:
        return cast(torch.optim.Optimizer, self._learner.get_optimizers_for_module(DEFAULT_MODULE_ID)[0][1])


def _algorithm(settings: PpoSettings, make: Callable[[], Grounds]) -> PPO:
    config = (
        PPOConfig()  # type: ignore[no-untyped-call]
        .environment("grounds", env_config={"make": make}, disable_env_checking=True)
        .env_runners(num_env_runners=0, env_runner_cls=RunsRunner, batch_mode="complete_episodes")
        .learners(num_learners=0)
        .rl_module(rl_module_spec=RLModuleSpec(module_class=ChooserModule, model_config={"width": settings.width}))
        .training(
            lr=settings.rate,
            gamma=settings.discount,
            lambda_=settings.gae,
            clip_param=settings.clip,
            vf_clip_param=100.0,
            vf_loss_coeff=0.5,
            entropy_coeff=settings.entropy,
            use_kl_loss=False,
            grad_clip=settings.gradient_clip,
            num_epochs=settings.epochs,
            minibatch_size=settings.minibatch,
            # What the runner returns at once is a batch, whole runs; there are always more looks in it than this.
            train_batch_size_per_learner=settings.minibatch,
        )
        .debugging(seed=settings.seed, log_level="ERROR")
    )
    algorithm = cast(PPO, config.build_algo())
    # RLlib leaves torch refusing what has no deterministic form, in all of this process: the twin's worlds among it.
    torch.use_deterministic_algorithms(False)
    return algorithm
