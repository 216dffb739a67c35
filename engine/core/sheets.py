"""Text in tables that people open with a spreadsheet: a cell that would be run as a formula is written as text."""

STARTS = ("=", "+", "-", "@", "\t", "\r")  # how a formula begins, for Excel, LibreOffice and Google Sheets
MARK = "'"  # what makes a cell text


def as_text(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula. `as_typed` gives back what was there."""
    return MARK + cell if cell.startswith((*STARTS, MARK)) else cell


def as_typed(cell: str) -> str:
    return cell[len(MARK) :] if cell.startswith(MARK) and as_text(cell[len(MARK) :]) == cell else cell
