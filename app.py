"""The page: ``streamlit run app.py``, or ``arena app`` from anywhere."""

import streamlit as st

from arena.ui.assets import ICON
from arena.ui.pages import compare

st.set_page_config(page_title="Portrait Blur Arena", page_icon=ICON, layout="wide")

st.navigation(
    [st.Page(compare.page, title="Compare", icon=":material/compare:", default=True)], position="hidden"
).run()
