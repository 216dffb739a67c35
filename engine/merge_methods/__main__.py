"""`python -m engine.merge_methods`: writes what pages know of the methods (engine/merging/catalogue.json)."""

from engine.merge_methods.knobs import catalogue_text
from engine.merging.catalogue import FILE

FILE.write_text(catalogue_text())
print(f"{FILE.name} is up to date.")
