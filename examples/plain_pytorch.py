"""A training loop in plain PyTorch, with a replay memory and a masked softmax put in, and continued from a checkpoint.

    python examples/plain_pytorch.py

Ten digits come two by two, in another order for each seed; 20 rows are kept for replay. What maskcl adds to an ordinary
loop are the lines marked with "# <-". Prints final accuracy and forgetting without and with the mask, the difference
with its 95 % interval over seeds (another number of seeds: the script's argument), and whether a run that stopped
half-way and went on from its file ends in the same weights. Settings were chosen on validation rows of other seeds.
"""

import sys
import tempfile
from pathlib import Path

import torch

import maskcl
from maskcl.functional import cross_entropy, masked_cross_entropy
from maskcl.metrics import final_accuracy, forgetting, paired_difference

SEEDS, EPOCHS, BATCH, LEAK = range(int(sys.argv[1]) if len(sys.argv) > 1 else 10), 3, 10, 0.03
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DIGITS = maskcl.data.load("digits")


class Run:
    """One network that learns one task after another."""

    def __init__(self, seed, leak):
        """Start anew; leak=1 is no mask at all."""
        torch.manual_seed(seed)
        layers = torch.nn.Flatten(), torch.nn.Linear(64, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10)
        self.network = torch.nn.Sequential(*layers).to(DEVICE)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1)
        self.memory = maskcl.ReplayMemory(20, seed=seed)  # <-
        self.scenario = maskcl.class_incremental(DIGITS, num_tasks=5, seed=seed)
        self.seed, self.leak, self.accuracies = seed, leak, []

    def learn(self, tasks):
        """Train on tasks, and measure accuracy on all of them after each."""
        for task in tasks:
            rows = self.scenario.train_rows[task]
            inputs = torch.from_numpy(DIGITS.train_inputs[rows]).to(DEVICE)
            labels = torch.from_numpy(DIGITS.train_labels[rows]).to(DEVICE)
            active = torch.isin(torch.arange(10), torch.tensor(self.scenario.tasks[task])).to(DEVICE)  # <-
            shuffle = torch.Generator().manual_seed(1000 * self.seed + task)
            for _ in range(EPOCHS):
                for batch in torch.randperm(len(rows), generator=shuffle).to(DEVICE).split(BATCH):
                    x, y = inputs[batch], labels[batch]
                    loss = masked_cross_entropy(
                        self.network(x), y, active, leak=self.leak
                    ).mean()  # <- new rows: masked
                    if len(self.memory):  # <-
                        old = self.memory.draw(BATCH)  # <-
                        loss = loss + cross_entropy(self.network(old.inputs), old.labels).mean()  # <- old rows: not
                    self.optimizer.zero_grad()
                    loss.backward()
                    self.optimizer.step()
                    self.memory.add(x, y)  # <- after the draw, so that no row replays itself
            self.accuracies.append([self.accuracy(rows) for rows in self.scenario.eval_rows])
        return self

    @torch.no_grad()
    def accuracy(self, rows):
        """The share of some test rows that is classified rightly, among all ten classes."""
        guesses = self.network(torch.from_numpy(DIGITS.test_inputs[rows]).to(DEVICE)).argmax(1).cpu()
        return (guesses == torch.from_numpy(DIGITS.test_labels[rows])).double().mean().item()

    def save(self, path):
        """Write a checkpoint; the memory is part of it, as the optimiser is."""
        parts = {name: getattr(self, name).state_dict() for name in ("network", "optimizer", "memory")}
        torch.save(parts, path)

    def load(self, path):
        """Go on from a checkpoint."""
        for name, state in torch.load(path, map_location=DEVICE, weights_only=True).items():
            getattr(self, name).load_state_dict(state)
        return self


def main():
    runs = [[Run(seed, leak).learn(range(5)) for seed in SEEDS] for leak in (1.0, LEAK)]
    found = [[run.accuracies for run in half] for half in runs]
    for name, metric in {"final accuracy": final_accuracy, "forgetting": forgetting}.items():
        plain, masked = 100 * metric(found)
        gain = paired_difference(masked, plain)
        print(f"{name:14}  no mask {plain.mean():.1f}  leak {LEAK} {masked.mean():.1f}"
              f"  difference {gain.mean:+.1f} ± {gain.half:.1f}")  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        Run(0, LEAK).learn(range(2)).save(Path(folder) / "half-way.pt")
        again = Run(0, LEAK).load(Path(folder) / "half-way.pt").learn(range(2, 5))
    pairs = zip(runs[1][0].network.parameters(), again.network.parameters(), strict=True)
    print("continued from a checkpoint: same weights", all(torch.equal(a, b) for a, b in pairs))


if __name__ == "__main__":
    main()
