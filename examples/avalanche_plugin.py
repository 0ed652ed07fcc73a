"""A masked softmax as a plug-in for Avalanche: its replay, its loop, its benchmark, with our loss.

    pip install avalanche-lib
    python examples/avalanche_plugin.py

Avalanche's `Naive` with its `ReplayPlugin` is ER; `MaskedSoftmax` is the criterion and a plug-in of the same strategy. It
masks the rows of the classes that are being learnt and leaves replayed rows alone. Ten digits come two by two, in
another order for each seed, with 20 rows for replay. Prints final accuracy and forgetting without and with the mask, the
difference with its 95 % interval over seeds (another number of seeds: the script's argument), and whether a run that
went on from Avalanche's own checkpoint ends in the same weights.
"""

import sys

import torch

import maskcl
from maskcl.functional import masked_cross_entropy
from maskcl.metrics import final_accuracy, forgetting, paired_difference

maskcl.networks.import_torchvision()  # Avalanche imports it, which fails for CUDA's wheels beside a CPU's torch
from avalanche.benchmarks import class_incremental_benchmark
from avalanche.training import Naive
from avalanche.training.determinism.rng_manager import RNGManager
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin, SupervisedPlugin

SEEDS, EPOCHS, BATCH, LEAK = range(int(sys.argv[1]) if len(sys.argv) > 1 else 5), 3, 10, 0.03
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DIGITS = maskcl.data.load("digits")


class MaskedSoftmax(SupervisedPlugin):
    """A criterion whose softmax weighs old classes by `leak` in the loss of new rows; leak=1 is cross-entropy."""

    def __init__(self, leak):
        super().__init__()
        self.leak, self.new = leak, None

    def before_training_exp(self, strategy, **kwargs):
        self.new = torch.tensor(sorted(strategy.experience.classes_in_this_experience), device=strategy.device)

    def after_training_exp(self, strategy, **kwargs):
        self.new = None  # evaluation asks for the plain loss

    def __call__(self, logits, labels):
        active = torch.ones_like(logits, dtype=torch.bool)
        if self.new is not None:
            learnt = torch.isin(torch.arange(logits.shape[1], device=logits.device), self.new)
            active = torch.where(
                torch.isin(labels, self.new)[:, None], learnt, active
            )  # row by row: replayed ones stay
        return masked_cross_entropy(logits, labels, active, leak=self.leak).mean()


def benchmark(seed):
    """The digits as Avalanche has them, in maskcl's order of classes."""
    parts = {"train": (DIGITS.train_inputs, DIGITS.train_labels), "test": (DIGITS.test_inputs, DIGITS.test_labels)}
    data = {name: torch.utils.data.TensorDataset(*map(torch.from_numpy, arrays)) for name, arrays in parts.items()}
    for part in data.values():
        part.targets = part.tensors[1]  # where Avalanche looks for classes
    order = [c for classes in maskcl.class_incremental(DIGITS, num_tasks=5, seed=seed).tasks for c in classes]
    return class_incremental_benchmark(data, class_order=order, num_experiences=5)


def strategy(seed, leak):
    """ER of Avalanche with our loss."""
    RNGManager.set_random_seeds(seed)
    layers = torch.nn.Flatten(), torch.nn.Linear(64, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10)
    network, masked = torch.nn.Sequential(*layers), MaskedSoftmax(leak)
    return Naive(
        model=network, optimizer=torch.optim.SGD(network.parameters(), lr=0.1), criterion=masked, device=DEVICE,
        train_mb_size=BATCH, train_epochs=EPOCHS, plugins=[ReplayPlugin(mem_size=20), masked],
        evaluator=EvaluationPlugin(),
    )  # fmt: skip


def accuracy(network, experience):
    """The share of an experience's test rows that is classified rightly, among all ten classes."""
    inputs, labels = (
        torch.stack(column) for column in list(zip(*((x, torch.tensor(y)) for x, y, _ in experience.dataset)))
    )
    with torch.no_grad():
        return (network(inputs.to(DEVICE)).argmax(1).cpu() == labels).double().mean().item()


def learn(one, data):
    """Train on experiences, one after the other; return accuracies on all of them after each."""
    accuracies = []
    for experience in data.train_stream[one.clock.train_exp_counter :]:
        one.train(experience)
        accuracies.append([accuracy(one.model, test) for test in data.test_stream])
    return accuracies


def main():
    found = [[learn(strategy(seed, leak), benchmark(seed)) for seed in SEEDS] for leak in (1.0, LEAK)]
    for name, metric in {"final accuracy": final_accuracy, "forgetting": forgetting}.items():
        plain, masked = 100 * metric(found)
        gain = paired_difference(masked, plain)
        print(
            f"{name:14}  no mask {plain.mean():.1f}  leak {LEAK} {masked.mean():.1f}"
            f"  difference {gain.mean:+.1f} ± {gain.half:.1f}"
        )


if __name__ == "__main__":
    main()
