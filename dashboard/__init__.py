"""The dashboard: streamlit and plotly live here and nowhere else."""
