"""The store: the only place with SQL. One DuckDB file, owned by one process, rebuilt from journals at will."""
