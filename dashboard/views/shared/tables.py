"""Tables whose numbers may be negative: Streamlit's own formats write a hyphen there."""

from functools import partial

import pandas as pd
from pandas.io.formats.style import Styler

from dashboard.models.units import digits


def signed(rows: object, forms: dict[str, str]) -> Styler:
    """Rows as a table with some columns in Python's formats, such as "+.3f", and a minus sign: they sort as numbers,
    and what is unknown is a dash."""
    frame = pd.DataFrame(rows)
    numbers = {name: partial(digits, form=form) for name, form in forms.items() if name in frame}
    return frame.style.format(numbers, na_rep="–")
