"""The runtime in JavaScript, and a web page around it."""
