"""Commands that carry things away: a whole workspace, or a study's runs."""
def add(command): pass
