"""Bytes as strangers damage them: positions of a file that are overwritten, cut out or doubled."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FUZZ = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)
CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["over", "out", "twice", "end"]), st.binary(min_size=1, max_size=6)),
    min_size=1,
    max_size=4,
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
