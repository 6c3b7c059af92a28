"""The report: one page with the verdict and the evidence for it."""
