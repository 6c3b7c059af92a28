"""What runs in a browser: a student's runtime in JavaScript, and a page around it."""
