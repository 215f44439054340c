FROM scratch
COPY rootfs /
ENTRYPOINT ["/pause", "infinity"]
