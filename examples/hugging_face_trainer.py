"""Hugging Face's Trainer with a replay memory and a masked softmax in its loss, and the memory in its checkpoints.

    pip install transformers accelerate
    python examples/hugging_face_trainer.py

Ten digits come two by two, in another order for each seed, one `Trainer.train` for each two; 20 rows are kept. Nothing
is downloaded: the model is a small module of PyTorch. Prints final accuracy and forgetting without and with the mask,
the difference with its 95 % interval over seeds (another number of seeds: the script's argument), and whether a task
that is continued from one of the Trainer's checkpoints ends in the same weights.
"""

import sys
import tempfile
from pathlib import Path

import torch

import maskcl
from maskcl.functional import cross_entropy, masked_cross_entropy
from maskcl.metrics import final_accuracy, forgetting, paired_difference

maskcl.networks.import_torchvision()  # transformers imports it if it is there: fails for CUDA's beside a CPU's torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

SEEDS, EPOCHS, BATCH, LEAK = range(int(sys.argv[1]) if len(sys.argv) > 1 else 5), 3, 10, 0.03
DIGITS = maskcl.data.load("digits")


class Classifier(torch.nn.Module):
    """A model as the Trainer wants it: arguments named as the columns of the data."""

    def __init__(self):
        super().__init__()
        layers = torch.nn.Flatten(), torch.nn.Linear(64, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10)
        self.network = torch.nn.Sequential(*layers)

    def forward(self, pixels, labels=None):
        return {"logits": self.network(pixels)}


class SaveMemory(TrainerCallback):
    """Writes the memory into each checkpoint of the Trainer."""

    def __init__(self, memory):
        self.memory = memory

    def on_save(self, args, state, control, **kwargs):
        torch.save(self.memory.state_dict(), Path(args.output_dir) / f"checkpoint-{state.global_step}" / "memory.pt")


class MaskedReplayTrainer(Trainer):
    """A Trainer whose loss replays rows of a memory beside those of the batch."""

    def __init__(self, *args, memory, active, leak, **kwargs):
        super().__init__(*args, callbacks=[SaveMemory(memory)], **kwargs)
        self.remove_callback(PrinterCallback)
        self.memory, self.active, self.leak = memory, active.to(self.args.device), leak

    def train(self, resume_from_checkpoint=None):
        if resume_from_checkpoint is not None:
            state = torch.load(Path(resume_from_checkpoint) / "memory.pt", map_location="cpu", weights_only=True)
            self.memory.load_state_dict(state)
            self.memory.to(self.args.device)
        return super().train(resume_from_checkpoint=resume_from_checkpoint)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        pixels, labels = inputs["pixels"], inputs["labels"]
        outputs = model(pixels)
        loss = masked_cross_entropy(outputs["logits"], labels, self.active, leak=self.leak).mean()
        if model.training:  # evaluation comes here as well: it replays nothing, and teaches the memory nothing
            if len(self.memory):
                old = self.memory.draw(len(labels))
                loss = loss + cross_entropy(model(old.inputs)["logits"], old.labels).mean()
            self.memory.add(pixels, labels)  # after the draw, so that no row replays itself
        return (loss, outputs) if return_outputs else loss


def trainer(model, memory, scenario, task, *, seed, leak, folder, save="no"):
    """The Trainer of one task."""
    rows = scenario.train_rows[task]
    pixels, labels = torch.from_numpy(DIGITS.train_inputs[rows]), torch.from_numpy(DIGITS.train_labels[rows])
    data = [{"pixels": x, "labels": y} for x, y in zip(pixels, labels, strict=True)]
    arguments = TrainingArguments(
        folder, num_train_epochs=EPOCHS, per_device_train_batch_size=BATCH, learning_rate=0.1, optim="sgd",
        lr_scheduler_type="constant", max_grad_norm=0, seed=1000 * seed + task, save_strategy=save,
        logging_strategy="no", report_to="none", disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    active = torch.isin(torch.arange(10), torch.tensor(scenario.tasks[task]))
    return MaskedReplayTrainer(model, arguments, train_dataset=data, memory=memory, active=active, leak=leak)


def learn(seed, leak, folder):
    """Train on all tasks, one after the other; return accuracies on all of them after each."""
    torch.manual_seed(seed)
    model, memory, accuracies = Classifier(), maskcl.ReplayMemory(20, seed=seed), []
    scenario = maskcl.class_incremental(DIGITS, num_tasks=5, seed=seed)
    for task in range(5):
        trainer(model, memory, scenario, task, seed=seed, leak=leak, folder=folder).train()
        with torch.no_grad():
            guesses = model.cpu().eval()(torch.from_numpy(DIGITS.test_inputs))["logits"].argmax(1).numpy()
        accuracies.append([(guesses == DIGITS.test_labels)[rows].mean() for rows in scenario.eval_rows])
    return accuracies


def continues(folder):
    """Whether the first task ends in the same weights when it goes on from the checkpoint after its first epoch."""
    scenario, weights = maskcl.class_incremental(DIGITS, num_tasks=5, seed=0), []
    checkpoint = None
    for _ in range(2):
        torch.manual_seed(0)
        model, memory = Classifier(), maskcl.ReplayMemory(20, seed=0)
        one = trainer(model, memory, scenario, 0, seed=0, leak=LEAK, folder=folder, save="epoch")
        one.train(resume_from_checkpoint=checkpoint)
        checkpoint = min(Path(folder).glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
        weights.append([parameter.cpu() for parameter in model.parameters()])
    return all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def main():
    with tempfile.TemporaryDirectory() as folder:
        found = [[learn(seed, leak, folder) for seed in SEEDS] for leak in (1.0, LEAK)]
        same = continues(folder)
    for name, metric in {"final accuracy": final_accuracy, "forgetting": forgetting}.items():
        plain, masked = 100 * metric(found)
        gain = paired_difference(masked, plain)
        print(f"{name:14}  no mask {plain.mean():.1f}  leak {LEAK} {masked.mean():.1f}"
              f"  difference {gain.mean:+.1f} ± {gain.half:.1f}")  # fmt: skip
    print("continued from a checkpoint: same weights", same)


if __name__ == "__main__":
    main()
