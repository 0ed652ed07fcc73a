"""The members of a population: their settings, their networks, where they are; judged, cut, taken apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from maskcl.devices import find_device
from maskcl.engine.build import build_model, build_parts, initial_state
from maskcl.engine.dials import cut_settings, stack_settings
from maskcl.engine.evaluate import Data, Evaluation
from maskcl.engine.hooks import check_state, scores_of
from maskcl.engine.member import MemberView, memory_slots
from maskcl.engine.model import Parts
from maskcl.engine.moves import sketch_weights
from maskcl.engine.spec import RunSpec
from maskcl.engine.state import State, map_tensors
from maskcl.engine.team import Team
from maskcl.memory import POLICIES, MemoryPolicy, MemoryState
from maskcl.methods import Method
from maskcl.methods.base import overrides
from maskcl.networks import build_network

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Members"]


class Members:
    """Runs of one structure, side by side; in a population every tensor has a leading member dimension.

    Args:
        specs: Members' settings, of one structure; exactly one unless stacked.
        stacked: Train with a leading member dimension.
        data: Tables and evaluators, shared between populations; None: made here.
        state: Where the members are; None: at the start.
        parts: The network's structure, if it has been built; None: built here.
        device: Where tensors lie; None: where the settings say.
        team: The processes that make one run together; None: this one alone.
    """

    def __init__(
        self,
        specs: Sequence[RunSpec],
        *,
        stacked: bool,
        data: Data | None = None,
        state: State | None = None,
        parts: Parts | None = None,
        device: torch.device | None = None,
        team: Team | None = None,
    ) -> None:
        self.specs, self.stacked, self._team = list(specs), stacked, team
        first = specs[0]
        self.training, self.dtype = first.training, getattr(torch, first.training.dtype)
        self.num_tasks = first.scenario.num_tasks
        self.device = find_device(self.training.device) if device is None else device
        self.data = data if data is not None else Data(first, self.device)
        self.method: Method = stack_settings([spec.method for spec in specs], self.dtype, self.device)
        self.needs = self.method.needs
        self.policy: MemoryPolicy | None = None if first.memory is None else POLICIES.find(str(first.memory.policy))
        self.memory_size = memory_slots(first)
        self.optimizer_config = stack_settings([spec.optimizer for spec in specs], self.dtype, self.device)
        self.timings = {"planning": 0.0, "training": 0.0, "evaluation": 0.0}
        self.loss_sum = torch.zeros(len(specs), dtype=torch.float64)
        self.parts = build_parts(first) if parts is None else parts
        self._attach(self._start(self.parts) if state is None else state)

    def _start(self, first: Parts | None = None) -> State:
        return initial_state(self.specs, stacked=self.stacked, device=self.device, first=first)

    def _attach(self, state: State) -> None:
        """Go on from a state, whose tensors are changed in place from here on."""
        self.parts.to(self.device)
        self.model = build_model(
            self.parts, state, self.optimizer_config,
            method=self.method, stacked=self.stacked, precision=self.training.precision, team=self._team,
        )  # fmt: skip
        state.weights = self.model.weights
        self.state = state

    @property
    def num_members(self) -> int:
        """Members still in training."""
        return len(self.specs)

    @property
    def share_tasks(self) -> bool:
        """Whether all members have the same scenario."""
        return all(spec.scenario is self.specs[0].scenario for spec in self.specs)

    def own_state(self, member: int) -> dict[str, Any]:
        """What the method remembers of one member."""
        return map_tensors(lambda t: t[member], self.state.method)

    def view(self, member: int, task: int, memory: MemoryState | None = None) -> MemberView:
        """What is shown of one member, with the memory that it has, or another."""
        memory = self.state.memories[member] if memory is None else memory
        return MemberView(self.specs[member], self.model, member, self.data.train, task, memory)

    def evaluate(
        self, task: int, members: Sequence[int] | None = None, memories: Sequence[MemoryState | None] | None = None
    ) -> list[Evaluation]:
        """Evaluate members (all by default) after, or within, task `task`, with the memories that they have then."""
        began = time.perf_counter()
        members = range(self.num_members) if members is None else members
        seen_only = self.method.mask is not None and self.method.mask.visible == "seen"
        found: dict[int, Evaluation] = {}
        by_scenario: dict[int, list[int]] = {}
        for place, k in enumerate(members):
            by_scenario.setdefault(id(self.specs[k].scenario), []).append(place)
        for places in by_scenario.values():
            own = [members[place] for place in places]
            memory = [None if memories is None else memories[place] for place in places]
            predict = [self.predictor(k, task, m) for k, m in zip(own, memory, strict=True)]
            evaluator = self.data.evaluator(self.specs[own[0]].scenario)
            some = self.parts.rows_at_once
            each = evaluator(predict, task, seen_only=seen_only, rows_at_once=some)
            sketched = [
                replace(one, weights=sketch_weights(self.model.own(k).params)) for k, one in zip(own, each, strict=True)
            ]
            found |= dict(zip(places, sketched, strict=True))
        self.timings["evaluation"] += time.perf_counter() - began
        return [found[place] for place in range(len(members))]

    def predictor(self, member: int, task: int, memory: MemoryState | None = None) -> Callable[[Tensor], Tensor]:
        """Scores of one member."""
        method, state, forward = self.specs[member].method, self.own_state(member), self.model.one(member)
        if overrides(method, "before_evaluation"):
            with torch.no_grad():  # what it changes in place is for this evaluation alone, as what it returns is
                state = map_tensors(Tensor.clone, state)
                state = method.before_evaluation(state, self.view(member, task, memory))
            check_state(method, "before_evaluation", state)
        return scores_of(method, forward, state)

    @property
    def num_parameters(self) -> int:
        """Weights of one member's network."""
        return sum(p.numel() for p in self.model.weights.params.values()) // max(1, len(self.specs) * self.stacked)

    @property
    def memory_bytes(self) -> int:
        """Bytes of one member's replay memory: row ids, labels, stored logits; images are not copied."""
        logits = self.state.stored.numel() * self.state.stored.element_size() // max(1, len(self.specs))
        size = 0 if self.specs[0].memory is None else self.specs[0].memory.size
        return 16 * size + logits

    @torch.no_grad()
    def network(self, member: int) -> nn.Module:
        """A copy of one member's network, in evaluation mode."""
        spec = self.specs[member]
        shape, num_classes = spec.scenario.dataset.input_shape, spec.scenario.num_classes
        module = build_network(spec.network, shape, num_classes, seed=0).to(self.dtype).eval()
        own = self.model.own(member)
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            tensor.copy_((own.params | own.buffers)[name])
        return module

    def finite(self) -> list[bool]:
        """Which members' losses and weights are still finite."""
        parts = [p.detach().isfinite() for p in self.model.weights.params.values()]
        fine = [p.reshape(len(p), -1).all(1) if self.stacked else p.all()[None] for p in parts]
        return (torch.stack(fine).all(0).cpu() & self.loss_sum.isfinite()).tolist()

    def part(self, members: Sequence[int]) -> Self:
        """Some members by themselves, with copies of their state."""
        specs = [self.specs[k] for k in members]
        return type(self)(
            specs, stacked=self.stacked, data=self.data, state=self.state.take(members), parts=self.parts,
            device=self.device, team=self._team,
        )  # fmt: skip

    def keep(self, members: Sequence[int]) -> None:
        """Go on with these members alone."""
        index = torch.tensor(members, device=self.device)
        self.specs = [self.specs[k] for k in members]
        self.method = cut_settings(self.method, index)
        self.optimizer_config = cut_settings(self.optimizer_config, index)
        self.loss_sum = self.loss_sum[members]
        self._attach(self.state.take(members))

    def load_state(self, state: State) -> None:
        """Go on from a copy of a state of a population of the same specs."""
        self._attach(state.to(self.device).copy())
