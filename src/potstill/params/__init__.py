"""The sections of `params.yaml`, a module with a frozen model each.

Every stage depends on the modules that it imports: with a module per section, a new parameter of the student does not
make the teacher train again.
"""
