"""The roles that a survey tells, by name; tied tensors under their first name."""

from hptransfer.scaling.roles import survey


def find_roles(build, *, width, other_width=None, depth=None, overrides=None):
    said = tuple((overrides or {}).items())
    found = survey(build, width=width, base_width=other_width or width, depth=depth, roles=said)
    return {t.name: t.role for t in found.tensors}
