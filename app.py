"""The page: ``streamlit run app.py``, or ``arena app`` from anywhere."""

import streamlit as st

from arena.ui.assets import ICON, RESULTS_STYLE
from arena.ui.pages import compare, draw, replace

st.set_page_config(page_title="Portrait Blur Arena", page_icon=ICON, layout="wide")
st.html(RESULTS_STYLE)

st.navigation(
    [
        st.Page(compare.page, title="Compare models", url_path="compare", default=True),
        st.Page(replace.page, title="Replace background", url_path="replace-background"),
        st.Page(draw.page, title="Draw", url_path="draw"),
    ],
    position="top",
).run()
