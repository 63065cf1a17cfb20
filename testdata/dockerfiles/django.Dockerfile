FROM python:3.10-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

WORKDIR /app

RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq5 \
    && rm -rf /var/lib/apt/lists/*

COPY requirements.txt .
RUN pip install --no-cache-dir --upgrade pip && pip install --no-cache-dir -r requirements.txt

RUN useradd --create-home --uid 1001 shop
COPY --chown=shop:shop . .
RUN python manage.py collectstatic --noinput

USER shop
EXPOSE 8000
CMD gunicorn shop.wsgi:application --bind 0.0.0.0:8000 --workers 3
