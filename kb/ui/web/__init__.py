"""The web server beside Streamlit: routes, sign-in, request checks."""
