// Before the system's own pwrite: a disk that does not go on while $STALLED is there. Built and preloaded by slow_disk.rs.

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long write_to_disk(int fd, const void *bytes, size_t length, long long at) {
    const char *stalled = getenv("STALLED");
    struct stat file;
    if (stalled && fstat(fd, &file) == 0 && S_ISREG(file.st_mode)) {
        while (access(stalled, F_OK) == 0)
            usleep(1000);
    }
    return syscall(SYS_pwrite64, fd, bytes, length, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    return write_to_disk(fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    return write_to_disk(fd, bytes, length, at);
}
