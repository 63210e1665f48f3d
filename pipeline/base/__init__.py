"""What every other folder stands on: commands, errors, files, parameters, git and DVC."""
