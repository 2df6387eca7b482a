/* Fails or loses what a program writes below one folder. Loaded by LD_PRELOAD; tests/it/faults.rs says what for.
 *
 * FAULTS_FOLDER   the folder
 * FAULTS_CONTROL  a file of six 64-bit numbers, shared with the test:
 *                 count of operations, number of the one that fails (0: none), mode, seed, fired, unused
 *
 * Counted: create, write, truncate, sync, rename, remove. Modes:
 *   1 input/output error   that one operation fails; a sync that fails loses what it should have written, as Linux does
 *   2 no space, once       that one operation fails with ENOSPC
 *   3 no space, for good   from there on nothing grows and nothing is created
 *   4 power cut            what was not synced is lost, and the process ends; by the seed's bits: 1 names that their
 *                          folder's sync did not cover go too, 2 some of the unsynced writes are on the disk all the same
 *   5 slow disk            every sync takes as many milliseconds as the seed says, one after the other; `fired` counts them
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MODE_ERROR = 1, MODE_FULL_ONCE, MODE_FULL, MODE_CUT, MODE_SLOW };
enum kind { CREATE, WRITE, TRUNCATE, SYNC, RENAME, REMOVE };
struct control { int64_t count, nth, mode, seed, fired, unused; };

/* One unsynced write or truncation, with what was there before. */
struct undo {
    struct undo *next;
    int file;
    off_t offset, size_before;
    size_t old_length, new_length;
    char *old_bytes, *new_bytes;
};
/* One unsynced name: created, or renamed from another. */
struct name {
    struct name *next;
    char *folder, *from, *to;
};
struct file { dev_t device; ino_t inode; int fd; };

static struct control *control;
static char folder[PATH_MAX];
static size_t folder_length;
static struct undo *undos;
static struct name *names;
static struct file files[4096];
static int file_count;
static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

#define REAL(result, function, ...) \
    static result (*real_##function)(__VA_ARGS__); \
    if (!real_##function) real_##function = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #function)

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_CONTROL"), *below = getenv("FAULTS_FOLDER");
    if (!path || !below) return;
    REAL(int, open, const char *, int, ...);
    int fd = real_open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) return;
    folder_length = (size_t)snprintf(folder, sizeof folder, "%s", below);
    control = map;
}

static int is_below(const char *path) {
    return control && path && !strncmp(path, folder, folder_length) && (path[folder_length] == '/' || !path[folder_length]);
}
static int path_of(int fd, char *path) {
    char link[64];
    if (!control) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_below(path);
}
/* SQLite's index of the log is mapped into memory, and every start builds it anew: cutting it short would only kill
 * the threads that still read it. */
static int is_index(const char *path) {
    size_t length = strlen(path);
    return length > 4 && !strcmp(path + length - 4, "-shm");
}
/* The file's own descriptor here, never closed: closing one would drop the locks that others hold. */
static int file_of(int fd) {
    struct stat found;
    char link[64];
    if (fstat(fd, &found) || !S_ISREG(found.st_mode)) return -1;
    for (int n = 0; n < file_count; n++)
        if (files[n].device == found.st_dev && files[n].inode == found.st_ino) return n;
    if (file_count == (int)(sizeof files / sizeof *files)) return -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    REAL(int, open, const char *, int, ...);
    int own = real_open(link, O_RDWR | O_CLOEXEC);
    if (own < 0) return -1;
    files[file_count] = (struct file){ found.st_dev, found.st_ino, own };
    return file_count++;
}
static char *parent_of(const char *path) {
    char *copy = strdup(path), *slash = strrchr(copy, '/');
    if (slash) *slash = 0;
    return copy;
}

static void remember_write(int fd, off_t offset, const void *bytes, size_t length, int is_truncation) {
    int n = control->mode == MODE_SLOW ? -1 : file_of(fd);
    struct stat found;
    if (n < 0 || fstat(files[n].fd, &found)) return;
    struct undo *undo = calloc(1, sizeof *undo);
    *undo = (struct undo){ .next = undos, .file = n, .offset = offset, .size_before = found.st_size };
    size_t old = is_truncation ? (found.st_size > offset ? (size_t)(found.st_size - offset) : 0) : length;
    undo->old_bytes = malloc(old + 1);
    ssize_t got = pread(files[n].fd, undo->old_bytes, old, offset);
    undo->old_length = got > 0 ? (size_t)got : 0;
    if (!is_truncation) {
        undo->new_length = length;
        undo->new_bytes = malloc(length + 1);
        memcpy(undo->new_bytes, bytes, length);
    }
    undos = undo;
}
static void remember_name(const char *from, const char *to) {
    struct name *name = calloc(1, sizeof *name);
    *name = (struct name){ .next = names, .folder = parent_of(to), .from = from ? strdup(from) : NULL, .to = strdup(to) };
    names = name;
}

/* Takes back the unsynced writes of one file (or of all: -1); `keep` says which are on the disk all the same. */
static void lose(int file, uint64_t keep) {
    struct undo *order[65536];
    int count = 0;
    REAL(ssize_t, pwrite64, int, const void *, size_t, off_t);
    for (struct undo **at = &undos; *at;) {
        struct undo *undo = *at;
        if (file >= 0 && undo->file != file) {
            at = &undo->next;
            continue;
        }
        int fd = files[undo->file].fd;
        real_pwrite64(fd, undo->old_bytes, undo->old_length, undo->offset);
        REAL(int, ftruncate64, int, off_t);
        real_ftruncate64(fd, undo->size_before);
        if (count < 65536) order[count++] = undo;
        *at = undo->next;
    }
    /* The newest come first in the list. */
    for (int n = count - 1; n >= 0 && keep; n--) {
        keep = keep * 6364136223846793005u + 1442695040888963407u;
        if (keep >> 63) real_pwrite64(files[order[n]->file].fd, order[n]->new_bytes, order[n]->new_length, order[n]->offset);
    }
}
static void lose_names(void) {
    REAL(int, unlink, const char *);
    REAL(int, rename, const char *, const char *);
    for (struct name *name = names; name; name = name->next) {
        if (name->from) real_rename(name->to, name->from);
        else real_unlink(name->to);
    }
    names = NULL;
}

/* Counts one operation. Nonzero: it fails with that error. The lock is held. */
static int step(enum kind kind, int fd, int grows) {
    int64_t count = ++control->count;
    if (!control->nth || count < control->nth) return 0;
    if (control->mode == MODE_FULL) {
        int fails = kind == CREATE || ((kind == WRITE || kind == TRUNCATE) && grows);
        control->fired += fails;
        return fails ? ENOSPC : 0;
    }
    if (count != control->nth) return 0;
    control->fired = 1 + kind;
    if (control->mode == MODE_FULL_ONCE) return ENOSPC;
    if (control->mode == MODE_CUT) {
        if (control->seed & 1) lose_names();
        lose(-1, control->seed & 2 ? (uint64_t)control->seed * 0x9e3779b97f4a7c15u | 1 : 0);
        _exit(77);
    }
    if (kind == SYNC) {
        int file = file_of(fd);
        if (file >= 0) lose(file, 0);
    }
    return EIO;
}

#define FAIL(error) do { pthread_mutex_unlock(&lock); errno = (error); return -1; } while (0)

static ssize_t written(int fd, const void *bytes, size_t length, off_t offset, int has_offset) {
    REAL(ssize_t, write, int, const void *, size_t);
    REAL(ssize_t, pwrite64, int, const void *, size_t, off_t);
    char path[PATH_MAX];
    if (!path_of(fd, path)) return has_offset ? real_pwrite64(fd, bytes, length, offset) : real_write(fd, bytes, length);
    pthread_mutex_lock(&lock);
    struct stat found = { 0 };
    fstat(fd, &found);
    off_t at = has_offset ? offset : fcntl(fd, F_GETFL) & O_APPEND ? found.st_size : lseek(fd, 0, SEEK_CUR);
    int error = step(WRITE, fd, at + (off_t)length > found.st_size);
    if (error) FAIL(error);
    if (!is_index(path)) remember_write(fd, at, bytes, length, 0);
    ssize_t done = has_offset ? real_pwrite64(fd, bytes, length, offset) : real_write(fd, bytes, length);
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return done;
}
ssize_t write(int fd, const void *bytes, size_t length) { return written(fd, bytes, length, 0, 0); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return written(fd, bytes, length, at, 1); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) { return written(fd, bytes, length, at, 1); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    char path[PATH_MAX];
    if (!path_of(fd, path)) return real_writev(fd, parts, count);
    return count ? written(fd, parts[0].iov_base, parts[0].iov_len, 0, 0) : 0;
}

static int truncated(int fd, off_t size) {
    REAL(int, ftruncate64, int, off_t);
    char path[PATH_MAX];
    if (!path_of(fd, path)) return real_ftruncate64(fd, size);
    pthread_mutex_lock(&lock);
    struct stat found = { 0 };
    fstat(fd, &found);
    int error = step(TRUNCATE, fd, size > found.st_size);
    if (error) FAIL(error);
    if (!is_index(path)) remember_write(fd, size, NULL, 0, 1);
    int done = real_ftruncate64(fd, size);
    pthread_mutex_unlock(&lock);
    return done;
}
int ftruncate(int fd, off_t size) { return truncated(fd, size); }
int ftruncate64(int fd, off_t size) { return truncated(fd, size); }

static int synced(int fd, int is_data) {
    REAL(int, fsync, int);
    REAL(int, fdatasync, int);
    char path[PATH_MAX];
    if (!path_of(fd, path)) return is_data ? real_fdatasync(fd) : real_fsync(fd);
    if (control->mode == MODE_SLOW) {
        pthread_mutex_lock(&disk);
        control->count++;
        control->fired++;
        usleep((useconds_t)control->seed * 1000);
        pthread_mutex_unlock(&disk);
        return 0;
    }
    pthread_mutex_lock(&lock);
    int error = step(SYNC, fd, 0);
    if (error) FAIL(error);
    /* Nothing here outlives the machine: that the bytes count as synced is enough. */
    int file = file_of(fd);
    for (struct undo **at = &undos; file >= 0 && *at;)
        if ((*at)->file == file) *at = (*at)->next;
        else at = &(*at)->next;
    for (struct name **at = &names; file < 0 && *at;)
        if (!strcmp((*at)->folder, path)) *at = (*at)->next;
        else at = &(*at)->next;
    pthread_mutex_unlock(&lock);
    return 0;
}
int fsync(int fd) { return synced(fd, 0); }
int fdatasync(int fd) { return synced(fd, 1); }

static int opened(int at, const char *path, int flags, mode_t mode) {
    REAL(int, openat, int, const char *, int, ...);
    if (!is_below(path) || !(flags & O_CREAT)) return real_openat(at, path, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat found;
    int is_new = lstat(path, &found) != 0;
    int error = is_new ? step(CREATE, -1, 1) : 0;
    if (error) FAIL(error);
    int fd = real_openat(at, path, flags, mode);
    if (fd >= 0 && is_new) remember_name(NULL, path);
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return fd;
}
#define OPEN(name, ...) \
    { mode_t mode = 0; va_list rest; va_start(rest, flags); if (flags & (O_CREAT | O_TMPFILE)) mode = va_arg(rest, mode_t); va_end(rest); \
      return opened(__VA_ARGS__, path, flags, mode); }
int open(const char *path, int flags, ...) OPEN(open, AT_FDCWD)
int open64(const char *path, int flags, ...) OPEN(open64, AT_FDCWD)
int openat(int at, const char *path, int flags, ...) OPEN(openat, at)
int openat64(int at, const char *path, int flags, ...) OPEN(openat64, at)

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    if (!is_below(to)) return real_rename(from, to);
    pthread_mutex_lock(&lock);
    int error = step(RENAME, -1, 0);
    if (error) FAIL(error);
    int done = real_rename(from, to);
    if (!done) remember_name(from, to);
    pthread_mutex_unlock(&lock);
    return done;
}
int unlink(const char *path) {
    REAL(int, unlink, const char *);
    if (!is_below(path)) return real_unlink(path);
    pthread_mutex_lock(&lock);
    int error = step(REMOVE, -1, 0);
    if (error) FAIL(error);
    int done = real_unlink(path), saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return done;
}
