"""The store: the only place with SQL. One DuckDB file, owned by one process, rebuildable from the journals."""
