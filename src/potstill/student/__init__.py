"""Students: tiny networks over words, and the one loop that trains them on hard or soft labels."""
