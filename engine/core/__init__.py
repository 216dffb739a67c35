"""Core: what everything else may import: errors, the workspace, who acts. Standard library only."""
