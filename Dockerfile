# Two stages: build with the compiler's packages, run with the libraries alone. Not root; the binary is its own health probe.
FROM debian:12-slim AS build
WORKDIR /src
COPY deploy/install-packages deploy/install-packages
COPY deploy/packages deploy/packages
RUN deploy/install-packages build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset release -DVEX_TESTS=OFF && cmake --build build/release --target vexfs_server \
    && strip build/release/vexfs_server

FROM debian:12-slim
COPY deploy/install-packages /tmp/deploy/install-packages
COPY deploy/packages /tmp/deploy/packages
RUN /tmp/deploy/install-packages run && rm -rf /var/lib/apt/lists/* /tmp/deploy \
    && groupadd --gid 2000 vexfs && useradd --uid 1000 --gid 2000 --no-create-home vexfs \
    && mkdir -p /qdrant/storage && chown -R 1000:2000 /qdrant
COPY --from=build /src/build/release/vexfs_server /usr/local/bin/vexfs_server
WORKDIR /qdrant
USER 1000:2000
ENV QDRANT__SERVICE__HOST=0.0.0.0 QDRANT__STORAGE__STORAGE_PATH=/qdrant/storage
EXPOSE 6333 6334 8000 7680
VOLUME /qdrant/storage
HEALTHCHECK --interval=10s --timeout=3s CMD ["vexfs_server", "health"]
ENTRYPOINT ["vexfs_server"]
