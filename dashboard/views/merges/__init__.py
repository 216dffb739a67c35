"""The pages of merge studies."""
