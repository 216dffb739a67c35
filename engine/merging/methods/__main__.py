"""`python -m engine.merging.methods`: writes the methods' metadata for pages (engine/spec/merge_catalogue.json)."""

from engine.merging.methods.knobs import catalogue_text
from engine.spec.merge_catalogue import FILE

FILE.write_text(catalogue_text())
print(f"{FILE.name} is up to date.")
