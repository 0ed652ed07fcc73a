"""`Learner`: one's own network and data, new classes as they come."""

from maskcl.learner.learner import Learner

__all__ = ["Learner"]
