"""The sections of `params.yaml`: one module and one frozen model each.

They are separate modules because every stage lists the modules that it imports as dependencies: a
new parameter of the student must not make a teacher train again.
"""
