# escape=`
FROM debian:12
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# A continuation with a comment in it.
RUN echo hello && `
    # not the end
    curl -fsSL https://get.example.com/install.sh | sh
RUN <<EOF
set -e
mkdir -p /data/in
echo "ready" > /data/state
EOF
RUN useradd -r -u 999 job
ADD tools.tar.gz /opt/tools/
ONBUILD COPY . /src
STOPSIGNAL 2
USER job:job
CMD /opt/tools/run --all
