# One image for every part; which part it is, is the command: python -m ingress, python -m workers --lane text.default …
# EXTRAS=models brings the small models that a worker runs on its own CPU. Without it an image is what production needs.
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /build
COPY requirements/uv.lock requirements/
RUN python -m venv uv && uv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/uv.lock
COPY requirements/runtime.lock requirements/runtime-models.lock requirements/
ARG EXTRAS=
RUN python -m venv --without-pip /opt/penstock \
    && uv/bin/uv pip sync --no-cache --python /opt/penstock/bin/python --require-hashes --compile-bytecode \
        "requirements/runtime${EXTRAS:+-$EXTRAS}.lock"
COPY schemas /srv/penstock/schemas
COPY storage /srv/penstock/storage
COPY ingress /srv/penstock/ingress
COPY workers /srv/penstock/workers
COPY streams /srv/penstock/streams
COPY penstock /srv/penstock/penstock
RUN python -m compileall -q /srv/penstock

FROM python:${PYTHON}
ARG EXTRAS=
# What llama.cpp computes with. Debian's own version of the release that the base image names: there is no other.
# hadolint ignore=DL3008
RUN if [ "$EXTRAS" = models ]; then \
        apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*; \
    fi
COPY --from=build /opt/penstock /opt/penstock
COPY --from=build /srv/penstock /srv/penstock
ENV PATH=/opt/penstock/bin:$PATH \
    PYTHONPATH=/srv/penstock \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /srv/penstock
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
# The ingress' door; metrics and health of whatever part it is, where PENSTOCK_METRICS_PORT says so.
EXPOSE 8080 9100
CMD ["python", "-m", "ingress"]
