# One static binary, the authorities that outgoing https believes, and an empty data folder; nothing else, nobody but 65532.
# DEPLOYMENT.md has the commands. docker build --build-arg VERSION=v0.2.0 writes the version in.
ARG GO=1.26
FROM --platform=$BUILDPLATFORM golang:${GO} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=development
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /image/lanyard ./cmd/lanyard \
    && mkdir -p /image/data

FROM scratch
ARG VERSION=development
LABEL org.opencontainers.image.title="Lanyard" \
      org.opencontainers.image.description="Single sign-on for SAML 2.0 and OpenID Connect apps" \
      org.opencontainers.image.source="https://github.com/lanyard-sso/lanyard" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /image/data /data
COPY --from=build /image/lanyard /lanyard
ENV LANYARD_DATA=/data LANYARD_LISTEN=:8080
USER 65532:65532
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["/lanyard", "ready"]
ENTRYPOINT ["/lanyard"]
CMD ["serve"]
