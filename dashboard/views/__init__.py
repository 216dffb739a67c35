"""The pages: one file each, with a `render` function."""
