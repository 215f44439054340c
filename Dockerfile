# The image: `mirror`, which runs as a user of its own on a read-only root, and what `mirror redirect` runs in an
# init container, `nft` and `ip`.
#
#     docker build -t mirror .                              # builds the program
#     make dist && docker build --target prebuilt -t mirror .   # takes what is built; needs no base image
ARG BUILDER=rust:1-bookworm

FROM scratch AS base
USER 2110:2110
ENTRYPOINT ["/usr/bin/mirror"]

# Where packaging/rootfs.sh has made a root file system.
FROM base AS prebuilt
ARG ROOTFS=dist/rootfs
COPY ${ROOTFS} /

FROM ${BUILDER} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake g++ iproute2 libpcap-dev nftables \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN packaging/static.sh target/mirror \
    && packaging/rootfs.sh /rootfs target/mirror=/usr/bin/mirror /usr/sbin/nft "$(command -v ip)=/usr/sbin/ip"

FROM base
COPY --from=build /rootfs /
