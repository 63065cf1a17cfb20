FROM python:3.11-bullseye AS compile
RUN apt-get update && apt-get install -y gcc libpq-dev
RUN python -m venv /opt/venv
ENV PATH="/opt/venv/bin:$PATH"
COPY requirements/ /tmp/requirements/
RUN pip install -r /tmp/requirements/base.txt -r /tmp/requirements/prod.txt

FROM python:3.11-slim-bullseye
RUN addgroup --system worker && adduser --system --ingroup worker worker
COPY --from=compile /opt/venv /opt/venv
ENV PATH="/opt/venv/bin:$PATH"
WORKDIR /srv
COPY --chown=worker:worker src/ src/
COPY --chmod=755 docker/entrypoint.sh /entrypoint.sh
USER worker
ENTRYPOINT ["/entrypoint.sh"]
CMD ["celery", "-A", "src.tasks", "worker", "-l", "info"]
