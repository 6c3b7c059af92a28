# The service of a student, without torch: `docker build -t potstill .`, then see compose.yaml.
FROM python:3.13-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src src
RUN pip wheel --no-deps --wheel-dir wheels .
RUN python -m venv /opt/potstill \
    && wheel=$(echo wheels/potstill-*.whl) \
    && /opt/potstill/bin/pip install --no-cache-dir -c constraints.txt "$wheel[serve,transformer]"

FROM python:3.13-slim
COPY --from=build /opt/potstill /opt/potstill
ENV PATH=/opt/potstill/bin:$PATH PYTHONUNBUFFERED=1
# A number, so that Kubernetes can check that it is not root.
RUN useradd --uid 10001 --no-create-home potstill
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["potstill", "serve"]
# The service listens on loopback unless it is told otherwise; in a container nobody would reach it there.
CMD ["/models/student.pot", "--host", "0.0.0.0"]
