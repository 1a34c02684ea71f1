# fated in a container: built with Rust, run from an image that holds nothing but the C library.
#
#   docker build -t fated .
#   docker run --rm -p 5300:53/udp -p 5300:53/tcp -v "$PWD/zones:/zones:ro" fated
#
# Zones are read from /zones; `docker kill -s HUP NAME` reloads them, `docker exec NAME fated status` shows its state.

# The same Debian as below: a newer C library at build time would be missing at run time.
FROM rust:1-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
# Not built, but Cargo wants to see what Cargo.toml names.
COPY benches benches
RUN cargo build --release --locked --bin fated && strip target/release/fated
# A folder for the control socket that the user below may write to.
RUN mkdir -p /run-fated

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/fated /usr/local/bin/fated
COPY --from=build --chown=nonroot:nonroot /run-fated /run/fated
COPY zones /zones
ENV XDG_RUNTIME_DIR=/run
# Containers may bind port 53 without a privilege: their net.ipv4.ip_unprivileged_port_start is 0. On a host that runs
# without IPv6, give the last line without [::]:53.
EXPOSE 53/udp 53/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["fated", "status"]
ENTRYPOINT ["fated"]
CMD ["serve", "--zones", "/zones", "--listen", "0.0.0.0:53", "--listen", "[::]:53"]
