# syntax=docker/dockerfile:1

# One image for every role: the server, the command line, and PostgreSQL's
# client programs, which must be at least as new as the newest server they meet.
ARG GO_VERSION=1.26
ARG POSTGRES_MAJOR=18

FROM golang:${GO_VERSION}-trixie AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.version=${VERSION}" -o /out/ ./cmd/server ./cmd/twin

# The signing key of the PostgreSQL project's packages comes out of a package
# that Debian signed: no key is fetched from anywhere else.
FROM debian:trixie-slim AS key
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql-common \
    && cp /usr/share/postgresql-common/pgdg/apt.postgresql.org.asc /pgdg.asc

FROM debian:trixie-slim
ARG POSTGRES_MAJOR
ARG VERSION=dev
LABEL org.opencontainers.image.title="neontwin" \
      org.opencontainers.image.description="Keeps Neon Twins in sync with production" \
      org.opencontainers.image.source="https://github.com/neontwin/neontwin" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=key /pgdg.asc /usr/share/keyrings/pgdg.asc
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && echo "deb [signed-by=/usr/share/keyrings/pgdg.asc] https://apt.postgresql.org/pub/repos/apt trixie-pgdg main" > /etc/apt/sources.list.d/pgdg.list \
    && apt-get update \
    && apt-get install -y --no-install-recommends postgresql-client-${POSTGRES_MAJOR} \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 65532 neontwin \
    && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin neontwin
COPY --from=build /out/server /out/twin /usr/local/bin/
# The programs themselves, ahead of Debian's wrappers around them.
ENV PATH=/usr/lib/postgresql/${POSTGRES_MAJOR}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# Nothing is written but temporary files: the root can be read-only if /tmp is not.
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["server", "healthcheck"]
ENTRYPOINT ["server"]
CMD ["serve", "--role=all"]
