"""The dashboard. `streamlit run streamlit_app.py` is all it takes; `kb app` does the same.

One file, two uses: run by Streamlit for every visitor it draws the page; imported by the web
server (Streamlit finds `app` by itself) it is the server's application, with the route that
gives media files to the player.
"""

import streamlit as st

if __name__ == "__main__":
    from kb.ui import page

    page.render()
else:
    from kb.ui import media

    app = st.App(
        __file__,
        routes=media.routes(),
        middleware=media.middleware(st.get_option("server.address")),
    )
