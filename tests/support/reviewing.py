"""What tests of reviews share: people of each role, and a candidate that one of them nominates."""

import numpy as np

from engine.core.people import Person, as_person
from engine.review import acts

ANN, BEN, EVE = Person("Ann", "reviewer"), Person("Ben", "reviewer"), Person("Eve", "viewer")
OTTO = Person("Otto", "operator")


def put(store, study, name, point=(0.2, 0.4, 0.4), by=ANN, **more) -> str:
    with as_person(by):
        return acts.nominate(store, study, np.array(point), name, "because", **more)
