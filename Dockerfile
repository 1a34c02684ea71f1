# One static-enough binary on a small base, without root: port 53 is bound by the capability on the file.
FROM rust:1-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
RUN cargo build --release --locked && strip target/release/fated
RUN apt-get update && apt-get install -y --no-install-recommends libcap2-bin \
    && setcap cap_net_bind_service=+ep target/release/fated

FROM debian:bookworm-slim
RUN useradd --system --no-create-home --uid 5353 fated && install -d -o fated -g fated /run/fated /var/lib/fated /etc/fated/zones
COPY --from=build /src/target/release/fated /usr/local/bin/fated
COPY zones /etc/fated/zones
USER fated
EXPOSE 53/udp 53/tcp
VOLUME ["/etc/fated/zones", "/var/lib/fated"]
HEALTHCHECK --interval=10s --timeout=3s CMD ["fated", "status", "--control", "/run/fated/control.sock"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["fated"]
CMD ["serve", "--listen", "0.0.0.0:53", "--zones", "/etc/fated/zones", "--control", "/run/fated/control.sock", "--state-dir", "/var/lib/fated"]
