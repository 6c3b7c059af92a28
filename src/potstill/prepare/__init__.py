"""From the user's texts and labels to clean splits."""
