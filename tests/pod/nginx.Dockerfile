# An application: nginx of the host, by packaging/rootfs.sh.
FROM scratch
COPY rootfs /
COPY nginx.conf /etc/nginx.conf
USER 65534:65534
ENTRYPOINT ["/usr/sbin/nginx", "-c", "/etc/nginx.conf", "-e", "stderr"]
