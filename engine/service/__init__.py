"""Services for a whole workspace: its owner, notices, backups, tokens. Uses the store."""
