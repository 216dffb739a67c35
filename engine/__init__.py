"""The engine: designs, proxies, surrogates and search. No streamlit, no duckdb."""

VERSION = "0.3.0"  # of Mixdesk; pyproject.toml reads it here
