"""What every stage needs: errors, files, parameters, labels, processes, tracking."""
