"""View models: store -> what a page shows. No streamlit, no plotly."""
