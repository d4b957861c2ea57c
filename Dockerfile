# The image of `bridge`. It runs the relay, or the command that it is given:
#
#     docker build --tag bridge .                                     for the processor of this machine
#     docker buildx build --platform linux/arm64 --tag bridge .       for another one, which takes no longer
#     docker run --env-file relay.env --volume relay-state:/state bridge
#     docker run --env-file webhook.env --publish 8080:8080 bridge serve
#
# Both stages are Debian 12, since a binary needs a C library no older than the one it was linked with. The image has that,
# the compiler's run-time library and the certificates of public authorities, which the AWS clients read from a file.

# The compiler is that of the machine that builds, whatever the image is for: emulated, it would take hours.
FROM --platform=$BUILDPLATFORM rust:1.95.0-slim-bookworm AS build
ARG TARGETARCH
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

# The C compiler links, and compiles ring, zstd and aws-lc. It goes by its full name, which the one of the machine has, too.
# hadolint ignore=DL3008 # Debian keeps one version of a package only: a pinned one is gone with the next update
RUN case $TARGETARCH in \
      amd64) rust=x86_64-unknown-linux-gnu gcc=x86_64-linux-gnu-gcc package=gcc-x86-64-linux-gnu ;; \
      arm64) rust=aarch64-unknown-linux-gnu gcc=aarch64-linux-gnu-gcc package=gcc-aarch64-linux-gnu ;; \
      *) echo "expected \`amd64\` or \`arm64\`, found \`$TARGETARCH\`" >&2; exit 1 ;; \
    esac; \
    if [ "$TARGETARCH" != "$(dpkg --print-architecture)" ]; then \
      apt-get update; \
      apt-get install --yes --no-install-recommends "$package" "libc6-dev-$TARGETARCH-cross"; \
      rm -rf /var/lib/apt/lists/*; \
      rustup target add "$rust"; \
    fi; \
    printf '[build]\ntarget = "%s"\n[target.%s]\nlinker = "%s"\n' "$rust" "$rust" "$gcc" >"$CARGO_HOME/config.toml"

# Without rust-toolchain.toml, which asks for the newest compiler instead of this one.
WORKDIR /source
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY src src
# `bridge new` has the workflows in it.
COPY examples examples
COPY statemachines statemachines
# `bridge console` has the runbooks in it.
COPY docs/operations.md docs/operations.md
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --features cli --bin bridge; \
    mkdir -p /image/state; \
    cp "target/$(sed -n 's/^target = "\(.*\)"/\1/p' "$CARGO_HOME/config.toml")/release/bridge" /image/

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /image/bridge /usr/local/bin/bridge
# Where the relay keeps its cursors, unless RELAY_STATE says otherwise. A new volume takes the owner of this folder.
COPY --from=build --chown=65532:65532 /image/state /state
ENV STATE_DIRECTORY=/state LISTEN=0.0.0.0:8080 HEALTH_LISTEN=0.0.0.0:8080
EXPOSE 8080
USER 65532:65532
# Whether the process works, not whether the webhook does: a restart mends only the one.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["bridge", "health", "http://127.0.0.1:8080/live"]
ENTRYPOINT ["bridge"]
CMD ["relay"]
