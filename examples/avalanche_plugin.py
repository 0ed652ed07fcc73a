"""A masked softmax as a plug-in for Avalanche: its replay, its loop, its checkpoints, with our loss.

    pip install avalanche-lib
    python examples/avalanche_plugin.py

Avalanche's `Naive` with its `ReplayPlugin` is ER; `MaskedSoftmax` is criterion and plug-in of that strategy. It masks
rows of classes that are being learnt, and leaves replayed rows alone. Ten digits come two by two, in another order for
each seed, with 20 rows for replay. Prints final accuracy and forgetting without and with the mask, the difference with
its 95 % interval over seeds (another number of seeds: the script's argument), and whether a run that went on from a
checkpoint ends in the same weights. The leak was chosen on validation rows of other seeds.
"""

import logging
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import maskcl
from maskcl.functional import masked_cross_entropy
from maskcl.metrics import final_accuracy, forgetting, paired_difference

logging.captureWarnings(True)  # Avalanche repeats one about itself at each task
maskcl.networks.import_torchvision()  # Avalanche imports it, which fails for CUDA's wheels beside a CPU's torch
from avalanche.benchmarks import class_incremental_benchmark
from avalanche.checkpointing import maybe_load_checkpoint, save_checkpoint
from avalanche.training import Naive
from avalanche.training.determinism.rng_manager import RNGManager
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin, SupervisedPlugin

SEEDS, EPOCHS, BATCH, LEAK = range(int(sys.argv[1]) if len(sys.argv) > 1 else 10), 3, 10, 0.1
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DIGITS = maskcl.data.load("digits")


class MaskedSoftmax(SupervisedPlugin):
    """A criterion whose softmax weighs old classes by `leak` in the loss of new rows; leak=1 is cross-entropy.

    Avalanche joins new and replayed rows without saying which is which: a row is new if its class is. Where a class
    comes back in a later experience, its replayed rows are masked too.
    """

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
        train_mb_size=BATCH, train_epochs=EPOCHS, evaluator=EvaluationPlugin(),
        plugins=[ReplayPlugin(mem_size=20), masked],
    )  # fmt: skip


def learn(one, data, stop=5):
    """Train on experiences, from the first that it has not had; return accuracies on all tasks after each."""
    accuracies = []
    for experience in data.train_stream[one.clock.train_exp_counter : stop]:
        one.train(experience)
        with torch.no_grad():
            guesses = one.model(torch.from_numpy(DIGITS.test_inputs).to(DEVICE)).argmax(1).cpu().numpy()
        right = guesses == DIGITS.test_labels
        tasks = [test.classes_in_this_experience for test in data.test_stream]
        accuracies.append([right[np.isin(DIGITS.test_labels, list(classes))].mean() for classes in tasks])
    return accuracies


def main():
    found = [[learn(strategy(seed, leak), benchmark(seed)) for seed in SEEDS] for leak in (1.0, LEAK)]
    for name, metric in {"final accuracy": final_accuracy, "forgetting": forgetting}.items():
        plain, masked = 100 * metric(found)
        gain = paired_difference(masked, plain)
        print(f"{name:14}  no mask {plain.mean():.1f}  leak {LEAK} {masked.mean():.1f}"
              f"  difference {gain.mean:+.1f} ± {gain.half:.1f}")  # fmt: skip

    data, whole = benchmark(0), strategy(0, LEAK)
    learn(whole, data)
    with tempfile.TemporaryDirectory() as folder:
        half = strategy(0, LEAK)
        learn(half, data, stop=2)
        save_checkpoint(half, Path(folder) / "half-way.pkl", exclude=["optimizer"])  # dill fails at PyTorch 2.13's
        again, _ = maybe_load_checkpoint(strategy(1, LEAK), Path(folder) / "half-way.pkl")
    again.optimizer = torch.optim.SGD(again.model.parameters(), lr=0.1)  # without momentum it has nothing to remember
    learn(again, data)
    pairs = zip(whole.model.parameters(), again.model.parameters(), strict=True)
    print("continued from a checkpoint: same weights", all(torch.equal(a, b) for a, b in pairs))


if __name__ == "__main__":
    main()
