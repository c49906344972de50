"""The roles that a survey tells, by name; tied tensors under their first name."""

from hptransfer.scaling.roles import survey


def find_roles(build, *, width, other_width=None, depth=None, overrides=None, blocks=False):
    said = tuple((overrides or {}).items())
    sizes = {"width": width, "base_width": other_width or width, "depth": depth}
    found = survey(build, **sizes, roles=said, blocks=blocks)
    return {t.name: t.role for t in found.tensors}
