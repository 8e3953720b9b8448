"""How the documentation site is built: `make docs`. Sphinx reads this; the site's own parts are in _site/."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

project = "minigrad"
copyright = "the minigrad authors"
author = "the minigrad authors"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "_site.docstrings",
    "_site.mathml",
    "_site.reference",
    "_site.rules",
    "_site.html",
]
source_suffix = {".md": "markdown"}
suppress_warnings = ["toc.empty_glob"]  # pages that stand beside this file are in the list without being named
exclude_patterns = ["_build", "_site"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_inline"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
add_module_names = True

templates_path: list[str] = []
smartquotes = False  # docstrings are plain: ... in a shape is three dots
html_theme = "furo"
html_math_renderer = "mathml"
html_title = "minigrad"
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_search_summary = False  # it would fetch each page found, which a browser refuses to a file on disk
html_domain_indices = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"
