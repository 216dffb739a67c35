"""The engine: designs, proxies, surrogates and search. No streamlit, no duckdb."""
