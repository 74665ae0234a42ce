// Preloaded into a process (LD_PRELOAD): each sync of a write-ahead log fails with EIO once, after the file that FAIL_SYNC_WHEN names exists.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int has_failed[4096];

static int fails(int descriptor) {
  const char *trigger = getenv("FAIL_SYNC_WHEN");
  char link[64], path[4096];
  if (!trigger || access(trigger, F_OK) != 0 || descriptor >= 4096 || has_failed[descriptor]) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 4) return 0;
  path[length] = 0;
  if (strcmp(path + length - 4, "-wal") != 0) return 0;
  has_failed[descriptor] = 1;
  errno = EIO;
  return 1;
}

int fdatasync(int descriptor) {
  if (fails(descriptor)) return -1;
  return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(descriptor);
}

int fsync(int descriptor) {
  if (fails(descriptor)) return -1;
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(descriptor);
}
