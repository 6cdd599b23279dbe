"""The page. Streamlit is imported in this package and in ``app.py`` alone."""
