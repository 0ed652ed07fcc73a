"""A Lightning module that replays and masks, and whose checkpoints hold its memory.

    pip install lightning
    python examples/lightning_module.py

Ten digits come two by two, in another order for each seed, one `Trainer.fit` for each two; 20 rows are kept for replay.
Prints final accuracy and forgetting without and with the mask, the difference with its 95 % interval over seeds
(another number of seeds: the script's argument), and whether a run that went on from a checkpoint ends in the same
weights. Not for several processes: each would have a memory of its own, and save one of them.
"""

import logging
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

import maskcl
from maskcl.functional import cross_entropy, masked_cross_entropy
from maskcl.metrics import final_accuracy, forgetting, paired_difference

maskcl.networks.import_torchvision()  # Lightning imports it if it is there, which fails for CUDA's beside a CPU's torch
import lightning as L

SEEDS, EPOCHS, BATCH, LEAK = range(int(sys.argv[1]) if len(sys.argv) > 1 else 5), 3, 10, 0.03
DIGITS = maskcl.data.load("digits")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")  # advice about workers, for data of this size


class MaskedReplay(L.LightningModule):
    """A classifier that replays rows of a memory beside those of its loader."""

    def __init__(self, seed: int, leak: float):
        """Start anew; leak=1 is no mask at all."""
        super().__init__()
        self.save_hyperparameters()
        torch.manual_seed(seed)
        layers = torch.nn.Flatten(), torch.nn.Linear(64, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10)
        self.network = torch.nn.Sequential(*layers)
        self.memory = maskcl.ReplayMemory(20, seed=seed)
        self.register_buffer("active", torch.ones(10, dtype=torch.bool))  # a buffer follows the module to its device

    def configure_optimizers(self):
        return torch.optim.SGD(self.network.parameters(), lr=0.1)

    def on_fit_start(self):
        self.memory.to(self.device)  # where it is not yet, after a checkpoint of another device

    def training_step(self, batch, index):
        inputs, labels = batch
        loss = masked_cross_entropy(self.network(inputs), labels, self.active, leak=self.hparams.leak).mean()
        if len(self.memory):
            old = self.memory.draw(len(inputs))
            loss = loss + cross_entropy(self.network(old.inputs), old.labels).mean()
        return loss

    def on_train_batch_end(self, outputs, batch, index):
        self.memory.add(*batch)  # after the step, so that no row replays itself

    def on_save_checkpoint(self, checkpoint):
        checkpoint["memory"] = self.memory.state_dict()

    def on_load_checkpoint(self, checkpoint):
        self.memory.load_state_dict(checkpoint["memory"])

    @torch.no_grad()
    def accuracy(self, rows):
        guesses = self.network(torch.from_numpy(DIGITS.test_inputs[rows]).to(self.device)).argmax(1).cpu()
        return (guesses == torch.from_numpy(DIGITS.test_labels[rows])).double().mean().item()


def learn(module, tasks, checkpoint=None):
    """Train on tasks, one after the other; return accuracies on all of them after each."""
    scenario, accuracies = maskcl.class_incremental(DIGITS, num_tasks=5, seed=module.hparams.seed), []
    for task in tasks:
        module.active.copy_(torch.isin(torch.arange(10), torch.tensor(scenario.tasks[task])))
        rows, order = scenario.train_rows[task], torch.Generator().manual_seed(1000 * module.hparams.seed + task)
        data = TensorDataset(torch.from_numpy(DIGITS.train_inputs[rows]), torch.from_numpy(DIGITS.train_labels[rows]))
        trainer = L.Trainer(max_epochs=EPOCHS, devices=1, logger=False, enable_checkpointing=False,
                            enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
        trainer.fit(module, DataLoader(data, BATCH, shuffle=True, generator=order))
        accuracies.append([module.accuracy(rows) for rows in scenario.eval_rows])
    if checkpoint is not None:
        trainer.save_checkpoint(checkpoint)
    return accuracies


def main():
    modules = [[MaskedReplay(seed, leak) for seed in SEEDS] for leak in (1.0, LEAK)]
    found = [[learn(module, range(5)) for module in half] for half in modules]
    for name, metric in {"final accuracy": final_accuracy, "forgetting": forgetting}.items():
        plain, masked = 100 * metric(found)
        gain = paired_difference(masked, plain)
        print(f"{name:14}  no mask {plain.mean():.1f}  leak {LEAK} {masked.mean():.1f}"
              f"  difference {gain.mean:+.1f} ± {gain.half:.1f}")  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        learn(MaskedReplay(0, LEAK), range(2), checkpoint=Path(folder) / "half-way.ckpt")
        again = MaskedReplay.load_from_checkpoint(Path(folder) / "half-way.ckpt", weights_only=True)
    learn(again, range(2, 5))
    pairs = zip(modules[1][0].parameters(), again.parameters(), strict=True)
    print("continued from a checkpoint: same weights", all(torch.equal(a.cpu(), b.cpu()) for a, b in pairs))


if __name__ == "__main__":
    main()
