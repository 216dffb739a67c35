"""How much of a table is read: what a page can hold in memory and explain while somebody waits."""

ROWS = 1_000_000
COLUMNS = 10_000
CELLS = 10_000_000
BYTES = 256 << 20  # of text, or of a columnar file's values once unpacked
JSON_BYTES = 64 << 20  # several times as much once it is read
