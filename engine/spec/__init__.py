"""Specs of studies and jobs, as plain data. numpy; no torch, no store."""
