"""`python -m engine.merge_methods`: writes what pages and studies know of the methods (engine/merge_catalogue.json)."""

from engine.merge_catalogue import FILE
from engine.merge_methods.knobs import catalogue_text

FILE.write_text(catalogue_text())
print(f"{FILE.name} is up to date.")
