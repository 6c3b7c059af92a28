"""Where texts and labels come from, and how they are cleaned."""
