ARG ALPINE=3.20
FROM alpine:${ALPINE}
ARG TARGETARCH
ARG VERSION=1.4.0
RUN apk add --no-cache ca-certificates tzdata \
 && addgroup -g 2000 exporter \
 && adduser -D -H -u 2000 -G exporter exporter
ADD https://downloads.example.com/exporter/${VERSION}/exporter-linux-${TARGETARCH} /bin/exporter
COPY build/helper-${TARGETARCH} /usr/local/bin/helper
RUN chmod +x /bin/exporter \
 && mkdir -p /etc/exporter /var/lib/exporter \
 && chown -R exporter:exporter /var/lib/exporter
COPY config.yml /etc/exporter/
USER exporter
VOLUME ["/var/lib/exporter"]
EXPOSE 9100-9101
ENTRYPOINT ["/bin/exporter"]
CMD ["--config", "/etc/exporter/config.yml"]
