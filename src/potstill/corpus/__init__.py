"""Read texts and labels from files, the hub or the demo corpus, and clean them."""
