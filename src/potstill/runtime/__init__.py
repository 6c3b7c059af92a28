"""The runtime: reads model files and classifies texts. Needs only numpy."""
