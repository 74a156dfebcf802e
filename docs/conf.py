"""How Sphinx builds the site: `make docs`. The pages are plain Markdown; `site/pages.py` adds what only a site has."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "site"))

from dhr import __version__

project = "dhr"
author = "the maintainers of dhr"
copyright = "the authors; licence Apache-2.0"
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "pages"]
exclude_patterns = ["_build", "site"]
myst_heading_anchors = 4
suppress_warnings = ["myst.strikethrough"]
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600  # per cell, on a busy machine
nb_merge_streams = True
nb_output_stderr = "remove"  # progress of long work
highlight_language = "none"
default_role = "code"
smartquotes = False  # options begin with two dashes
copybutton_exclude = ".linenos, .gp, .go"

autodoc_default_options = {
    "members": True,
    "undoc-members": True,
    "show-inheritance": True,
    "exclude-members": "__init__, __new__",
}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_class_signature = "separated"
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"dhr {version}"
html_copy_source = False
html_show_sphinx = False
html_static_path: list[str] = []
