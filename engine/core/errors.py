"""What people are told when something cannot be done: one sentence with the value and the cure."""

from engine.core.shown import bounded


class Problem(Exception):
    """Something the user can fix. The message says what cannot be done, why (with the value), what to do.

    Pages, the command line and job journals show the message as it is, without a traceback. It is bounded: what
    people gave may be of any length.
    """

    def __init__(self, *said: object) -> None:
        super().__init__(*(bounded(one) if isinstance(one, str) else one for one in said))


class Missing(Problem):
    """There is no such study, job, run, ... here."""


class Conflict(Problem):
    """It was asked for before, or has changed meanwhile."""


class TooLarge(Problem):
    """What was sent is larger than is read at once."""


class Unavailable(Problem):
    """It cannot be done now, and nothing of it was done: the disk is full, say. The same request may pass later."""


class Stopped(Exception):
    """The job was asked to stop (cancelled, or its machine goes down). Raised from `Job.progress`."""


class Transient(Problem):
    """What may pass by itself (a GPU that was lost, say): the job is tried again, up to its limit of retries."""
