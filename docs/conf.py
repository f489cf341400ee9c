# `make docs` builds the site; `make linkcheck` tries the links that leave it.
# LMMPY_DOCS_INTERSPHINX=1 links to the documentation of numpy, scipy, pandas and matplotlib, which needs the network.
# LMMPY_DOCS_MATHJAX=URL takes MathJax from elsewhere; by default readers' browsers fetch it from a public CDN.
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent / "_ext"))

import generated
import members
import repository

import lmmpy

HERE = Path(__file__).resolve().parent
project = "lmmpy"
author = "the lmmpy authors"
copyright = "the lmmpy authors. BSD-3-Clause"
version = release = lmmpy.__version__
language = "en_GB"
smartquotes = False

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "roles",
]
exclude_patterns = ["_build", "_ext", "_static", "_templates"]
# A page about a file that is not there is no page.
exclude_patterns += sorted(
    {
        page
        for path, page in repository.PAGES.items()
        if not (HERE.parent / path).exists() and page not in ("about/licence.md", "tutorials/index.md")
    }
)
templates_path = ["_templates"]
nitpicky = True

# ---- pages and notebooks

repository.copy_notebooks()
nb_execution_mode = "off"  # notebooks come executed: `make notebooks`
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_dmath_double_inline = True
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"
linkcheck_timeout = 20
linkcheck_anchors = False

# ---- the reference

autosummary_generate = True
autosummary_context = {
    "class_members": members.member_tables(
        (
            *("lmmpy", "lmmpy.qtl", "lmmpy.plots", "lmmpy.datasets"),
            *("lmmpy.report", "lmmpy.report.anova", "lmmpy.fitting", "lmmpy.model.components", "lmmpy.model.re_pca"),
        )
    )
}
autodoc_typehints = "none"  # types stand in the sections on parameters, in words
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
numpydoc_show_class_members = False  # the template has a table of them
numpydoc_xref_param_type = False  # "array-like, shape (n,)" is prose
default_role = "soft"
add_module_names = False
toc_object_entries_show_parents = "hide"

if os.environ.get("LMMPY_DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "pandas": ("https://pandas.pydata.org/docs", None),
        "matplotlib": ("https://matplotlib.org/stable", None),
    }

# ---- how it looks

html_theme = "pydata_sphinx_theme"
html_title = "lmmpy"
html_static_path = ["_static"]
html_css_files = ["lmmpy.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "lmmpy"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "back_to_top_button": False,
}
html_sidebars = {"index": []}
if os.environ.get("LMMPY_DOCS_MATHJAX"):
    mathjax_path = os.environ["LMMPY_DOCS_MATHJAX"]


def read_page(app, docname, source):
    page = Path(app.env.doc2path(docname))
    if page.suffix == ".md":
        source[0] = generated.fill(repository.expand_includes(source[0], page))


def note_files(app, docname, source):
    # A page changes with what it includes.
    if docname.startswith("about/"):
        for path, page in repository.PAGES.items():
            if page == f"{docname}.md":
                app.env.note_dependency(str(HERE.parent / path))


def setup(app):
    app.connect("source-read", read_page)
    app.connect("source-read", note_files)
