# syntax=docker/dockerfile:1

# An image with `fm` and the CPU build of libtorch, which serves /models/model.pt: see docs/serving.md. A test compares
# this file with the workspace.

# The same distribution twice: the program needs the C library that it was built with, or a later one.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends python3-pip && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# The download depends on these files only, so that a change of the sources does not repeat it.
COPY Cargo.toml ./
COPY scripts/setup.sh scripts/
COPY fm-core/build.rs fm-core/
RUN FM_LIBTORCH=cpu sh scripts/setup.sh --no-data /opt/libtorch
COPY . .
# The executables find libtorch where it is now, so it has the same path in the second image.
ENV LIBTORCH=/opt/libtorch/torch
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo install --locked --path fm-cli --root /opt/fm && python3 scripts/licences.py /opt/fm/THIRD-PARTY-LICENSES
# Only compilers read it.
RUN rm -rf /opt/libtorch/torch/include

FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends libstdc++6 && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --create-home fm
COPY --from=build /opt/libtorch /opt/libtorch
COPY --from=build /opt/fm /opt/fm
COPY LICENSE /opt/fm/
ENV PATH=/opt/fm/bin:$PATH
# The build fails here if a library is missing.
RUN fm models >/dev/null
# A number, because Kubernetes cannot check that a name is not root.
USER 10001
WORKDIR /models
EXPOSE 8000
# `fm` becomes the server, so `docker stop` asks it to finish its requests: give it longer than twice --timeout.
ENTRYPOINT ["fm"]
CMD ["serve", "model.pt", "--host", "0.0.0.0"]
