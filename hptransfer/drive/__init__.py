"""What a command does, from the study file to the stored outputs."""
