"""BatchNorm as the protocols have it: ER joins stream and memory in one pass, DER and DER++ pass each draw alone."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskcl.memory import MemoryState, draw_slots, plan_writes
from maskcl.methods import find
from maskcl.networks import ResNet18, build_network
from maskcl.rng import generator
from maskcl.testing import Trial, small

SHAPE, LR, BATCH, REPLAY = (3, 8, 8), 0.05, 4, 3


def by_hand(key: str, network: nn.Module, tasks: small.Scenario) -> tuple[nn.Module, int]:
    """The first task of a run with plain PyTorch; and the passes that its last step made."""
    data, rows = tasks.dataset, tasks.train_rows[0]
    inputs, labels = torch.from_numpy(data.train_inputs).double(), torch.from_numpy(data.train_labels).long()
    order = rows[generator(0, "stream", 0, 0).permutation(len(rows))]
    writes = plan_writes(
        "reservoir", MemoryState.empty(small.SIZE, 6), data.train_labels[order], generator(0, "memory", 0)
    )
    batches = [list(range(start, min(start + BATCH, len(order)))) for start in range(0, len(order), BATCH)]
    memory, stored, used = torch.full((small.SIZE,), -1), torch.zeros(small.SIZE, 6, dtype=torch.float64), list[int]()
    filled = [len({int(w) for w in writes[: batch[0]] if w >= 0}) for batch in batches]
    num_draws = 2 if key == "derpp" else 1
    picks = [
        draw_slots(torch.tensor(filled).clip(min=1).numpy(), REPLAY, generator(0, "draws", 0, d))
        for d in range(num_draws)
    ]
    optimizer, passes = torch.optim.SGD(network.parameters(), lr=LR), 0
    for step, batch in enumerate(batches):
        x, y = inputs[order[batch]], labels[order[batch]]
        drawn = [[used[i] for i in pick[step]] for pick in picks] if filled[step] else []
        replayed = [memory[slots] for slots in drawn]
        passes = 1
        if key == "er":
            together = torch.cat([x, *(inputs[rows_] for rows_ in replayed)])
            z = network(together)
            loss = F.cross_entropy(z, torch.cat([y, *(labels[rows_] for rows_ in replayed)]))
        else:
            z = network(x)
            loss = F.cross_entropy(z, y)
            for d, (slots, rows_) in enumerate(zip(drawn, replayed, strict=True)):
                now: Tensor = network(inputs[rows_])
                passes += 1
                loss = loss + (
                    0.2 * F.mse_loss(now, stored[slots]) if d == 0 else 0.5 * F.cross_entropy(now, labels[rows_])
                )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for place, i in enumerate(batch):
            slot = int(writes[i])
            if slot >= 0:
                memory[slot], stored[slot] = int(order[i]), z[place].detach()
                used += [slot] if slot not in used else []
    return network, passes


@pytest.mark.parametrize(("key", "passes"), [("er", 1), ("der", 2), ("derpp", 3)])
def test_running_statistics_are_those_of_a_step_by_hand(key: str, passes: int) -> None:
    options = {"er": {}, "der": {"alpha": 0.2}, "derpp": {"alpha": 0.2, "beta": 0.5}}[key]
    tasks, resnet = small.scenario(SHAPE), ResNet18(width=2)
    spec = Trial(find(key), options).spec(tasks=tasks, network=resnet, optimizer={"lr": LR})
    ours = small.train([spec], stacked=False, tasks=[0])
    network, made = by_hand(key, copy.deepcopy(build_network(resnet, SHAPE, 6, seed=0)).double(), tasks)
    assert made == passes
    weights = ours.state.weights
    for name, value in network.state_dict().items():
        mine = (weights.params | weights.buffers)[name]
        torch.testing.assert_close(
            mine.detach(), value, rtol=0, atol=1e-7, msg=lambda text, name=name: f"{name}: {text}"
        )
    counted = int(weights.buffers["bn1.num_batches_tracked"])
    assert counted == 7 + (passes - 1) * 6  # 7 batches of 26 rows, the first of which finds no memory
