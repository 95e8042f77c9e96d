# KB Ingest in a container: docs/containers.md.
# FLAVOUR: cpu, cuda (needs a driver for CUDA 12 on the host) or rocm (untested).
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS build
ARG FLAVOUR=cpu
# What pip installs instead of the flavour's torch: "torch==2.15.*" for a driver of CUDA 13.
ARG TORCH=
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/kb
ENV PATH=/opt/kb/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The wheels of 2.11 and later are made for CUDA 13: drivers before 580, such as Cloud Run's, do not
# run them.
RUN case "$FLAVOUR" in \
        cpu) torch="torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu" ;; \
        cuda) torch="torch==2.10.*" ;; \
        rocm) torch="torch==2.10.* --extra-index-url https://download.pytorch.org/whl/rocm7.0" ;; \
        *) echo "FLAVOUR is cpu, cuda or rocm, not $FLAVOUR" >&2; exit 2 ;; \
    esac \
    && set -f && pip install ${TORCH:-$torch}
WORKDIR /app
# The packages change less often than the code, and have a layer of their own.
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY presets.yaml models.yaml streamlit_app.py ./
COPY .streamlit/config.toml .streamlit/config.toml
COPY models models
COPY samples samples
COPY tools/build_data.py tools/build_data.py
COPY kb/__init__.py kb/__init__.py
RUN pip install -c constraints.txt ".[mcp,s3,screen,meaning]" && pip uninstall -y kb-ingest
COPY . .
RUN pip install --no-deps -e . && python -m compileall -q kb gpu

FROM ${BASE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libgomp1 python3 tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 kb \
    && useradd --uid 10001 --gid kb --home-dir /data --no-create-home --shell /usr/sbin/nologin kb \
    && mkdir -p /data /models \
    && chown kb:kb /data /models
COPY --from=build /opt/kb /opt/kb
COPY --from=build /app /app
ENV PATH=/opt/kb/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    HF_HOME=/models \
    KB_HOME=/data
WORKDIR /app
USER 10001:10001
VOLUME ["/data", "/models"]
EXPOSE 8080
STOPSIGNAL SIGTERM
# A sound is decoded for it, so that a server whose recognizer is dead is found. The first start
# fetches the model.
HEALTHCHECK --interval=30s --timeout=35s --start-period=10m CMD ["kb", "health", "--ready"]
ENTRYPOINT ["tini", "--", "kb"]
# The API and a worker in one process, on PORT (8080); it starts with KB_API_KEYS alone.
CMD ["serve", "--host", "0.0.0.0"]
