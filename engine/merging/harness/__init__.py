"""lm-evaluation-harness on models of the workspace."""
