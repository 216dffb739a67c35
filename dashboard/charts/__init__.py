"""Charts: view models -> figures. No streamlit, no store."""
