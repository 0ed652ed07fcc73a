"""`ReplayMemory`: the replay memory as an object, for one's own training loop."""

from maskcl.replay.memory import Replay, ReplayMemory

__all__ = ["Replay", "ReplayMemory"]
