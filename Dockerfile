# The image: the static binary, and nothing else. It needs no certificates (public roots are in the binary, private ones
# come with the installation), no user database and no shell.
#
#   docker build --build-arg VERSION=0.1.0 -t registry.example/acme/esc-injector:0.1.0 .
#
# A binary that is built already needs no base image, so no registry:
#
#   cargo xtask dist
#   buildah bud --target from-binary --build-arg BINARY=target/x86_64-unknown-linux-gnu/dist/esc-injector .
#
# The same bytes for the same sources: pass SOURCE_DATE_EPOCH, and let the builder write it into the image too (docker buildx
# build --output type=image,rewrite-timestamp=true; buildah bud --timestamp). Without any such tool: cargo xtask image.

ARG RUST_IMAGE=docker.io/library/rust:1.95-slim-bookworm

FROM scratch AS base
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="esc-injector" \
      org.opencontainers.image.description="Delivers Pulumi ESC secrets and configuration to Kubernetes pods" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# By number: kubelet can't tell from a name that a user is not root.
USER 65532:65532
ENTRYPOINT ["/esc-injector"]

FROM ${RUST_IMAGE} AS build
ARG SOURCE_DATE_EPOCH=0
WORKDIR /build
COPY . .
RUN binary="$(cargo xtask dist)" \
 && install -D -m 0755 "$binary" /out/esc-injector \
 && touch -d "@${SOURCE_DATE_EPOCH}" /out/esc-injector

FROM base AS from-binary
ARG BINARY
COPY --chmod=0755 ${BINARY} /esc-injector

FROM base AS image
COPY --from=build /out/esc-injector /esc-injector
