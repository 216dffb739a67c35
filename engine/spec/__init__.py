"""Specs: what studies and jobs are told, as plain data. numpy; no torch, no store."""
