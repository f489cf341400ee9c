"""
What stands between single backticks in a docstring: a link where the name is documented, else code.

numpydoc leaves such names to reStructuredText's default role. Parameters and columns are named so too, which no page
documents, so that a name that leads nowhere is no error.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.roles import XRefRole

_SOFT = "soft-link"
_ALIASES = ("lmm.", "lmmpy.")


class SoftRole(XRefRole):
    """``py:obj`` that may lead nowhere."""

    def result_nodes(
        self, document: nodes.document, env: BuildEnvironment, node: nodes.Element, is_ref: bool
    ) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Mark the node, and say in which module and class it stands."""
        node["refdomain"], node["reftype"], node[_SOFT] = "py", "obj", True
        node["py:module"], node["py:class"] = env.ref_context.get("py:module"), env.ref_context.get("py:class")
        return [node], []


def resolve(app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.TextElement) -> Any:
    """Of a name that is not found as it is, take the documented object that it can only mean; else leave it as code."""
    if not node.get(_SOFT):
        return None
    target = node["reftarget"].removesuffix("()").lstrip("~.")
    for alias in _ALIASES:
        target = target.removeprefix(alias)
    domain = env.domains.python_domain
    names = [f"lmmpy.{target}", f"lmmpy.qtl.{target}", f"lmmpy.plots.{target}", f"lmmpy.datasets.{target}"]
    if node.get("py:class"):
        names.insert(0, f"{node['py:module']}.{node['py:class']}.{target}")
    for name in names:
        entry = domain.objects.get(name)
        if entry is not None and target:
            reference = nodes.reference("", "", internal=True)
            reference["refuri"] = app.builder.get_relative_uri(node["refdoc"], entry.docname) + f"#{entry.node_id}"
            reference += content
            return reference
    return content


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the role, which conf.py makes the default one."""
    app.add_role("soft", SoftRole(warn_dangling=False, innernodeclass=nodes.literal))
    app.connect("missing-reference", resolve)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
