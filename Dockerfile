# Mixdesk's two processes, page and worker, in one container: docs/how-to/docker.md.
FROM python:3.12-slim

# LightGBM needs OpenMP's runtime.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 mixdesk \
    && install --directory --owner mixdesk /data

WORKDIR /mixdesk
COPY requirements*.txt ./
RUN pip install --no-cache-dir -r requirements.txt
COPY LICENSE Procfile README.md pyproject.toml ./
COPY .streamlit .streamlit
COPY dashboard dashboard
COPY engine engine
COPY store store
RUN pip install --no-cache-dir --no-deps --editable .

USER mixdesk
ENV MIXDESK_WORKSPACE=/data MIXDESK_ADDRESS=0.0.0.0 PORT=8501 PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8501
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import json, urllib.request; urllib.request.urlopen(json.load(open('/data/web.json'))['url'] + '/api/v1/health')"]
CMD ["honcho", "start", "--no-prefix"]
