"""What strangers send: any JSON, and files whose bytes are overwritten, cut out, doubled or cut off."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FUZZ = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)
CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["over", "out", "twice", "end"]), st.binary(min_size=1, max_size=8)),
    min_size=1,
    max_size=4,
)


NOTHING = st.nothing()


def json_values(leaves=NOTHING):
    """Any JSON, and what a parser of it takes beside: infinities, huge numbers. leaves: values that hit something."""
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5)
    return st.recursive(
        plain | st.integers(10**18, 10**30) | leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    )


def damaged(data: bytes, changes: list[tuple[float, str, bytes]]) -> bytes:
    """Data after some changes, each at a part of its length."""
    for where, what, new in changes:
        place = int(where * len(data))
        after = place + len(new) if what in ("over", "out") else place
        if what == "end":
            data = data[:place]
        else:
            data = data[:place] + (b"" if what == "out" else new if what == "over" else new * 2) + data[after:]
    return data
