"""The web server around Streamlit: routes, sign-in, request checks."""
