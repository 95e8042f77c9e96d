"""The dashboard. `streamlit run streamlit_app.py` is all it takes; `kb app` does the same.

One file, two uses: run by Streamlit for every visitor it draws the page; imported by the web
server (Streamlit finds `app` by itself) it is the server's application, with the routes for
media and uploads, the guard before them, and the worker beside it.
"""

import sys

import streamlit as st

if __name__ == "__main__":
    from kb.ui import page

    page.render()
else:
    from kb.errors import KBError
    from kb.garbage import kept

    with kept():
        from kb.ui.web import server

    try:
        middleware = server.middleware(
            st.get_option("server.address"),
            st.get_option("server.allowedHosts"),
            str(st.get_option("server.baseUrlPath") or ""),
        )
    except KBError as error:
        sys.exit(f"{error.message}\n{error.hint}")
    app = st.App(__file__, routes=server.routes(), middleware=middleware, lifespan=server.lifespan)
