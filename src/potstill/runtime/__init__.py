"""What ships: reads a student's file and scores texts. Needs numpy and nothing else."""
