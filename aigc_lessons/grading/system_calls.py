"""The system calls that an answer needs: an allow-list for the kernel's seccomp filter, in its own language (BPF).

Numbers: Linux, arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h (ARM64). The form of a filter: the kernel's
Documentation/userspace-api/seccomp_filter.rst and include/uapi/linux/filter.h.
"""

import platform
import struct

# name, number on x86-64, number on ARM64 ("-": it has none)
NEEDED = """
    # files that are open
    read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, preadv 295 69, pwritev 296 70,
    lseek 8 62, close 3 57, close_range 436 436, fstat 5 80, fsync 74 82, fdatasync 75 83, ftruncate 77 46,
    fallocate 285 47, fcntl 72 25, flock 73 32, dup 32 23, dup2 33 -, dup3 292 24, ioctl 16 29, sendfile 40 71,
    copy_file_range 326 285, fadvise64 221 223, readahead 187 213,
    # names of files
    open 2 -, openat 257 56, openat2 437 437, creat 85 -, stat 4 -, lstat 6 -, newfstatat 262 79, statx 332 291,
    access 21 -, faccessat 269 48, faccessat2 439 439, readlink 89 -, readlinkat 267 78, getdents 78 -,
    getdents64 217 61, getcwd 79 17, chdir 80 49, fchdir 81 50, mkdir 83 -, mkdirat 258 34, rmdir 84 -,
    rename 82 -, renameat 264 38, renameat2 316 276, unlink 87 -, unlinkat 263 35, truncate 76 45, statfs 137 43,
    fstatfs 138 44, chmod 90 -, fchmod 91 52, fchmodat 268 53, utimensat 280 88, umask 95 166,
    # waiting, and pipes within the process
    poll 7 -, ppoll 271 73, select 23 -, pselect6 270 72, epoll_create 213 -, epoll_create1 291 20,
    epoll_ctl 233 21, epoll_wait 232 -, epoll_pwait 281 22, eventfd 284 -, eventfd2 290 19, pipe 22 -,
    pipe2 293 59, socketpair 53 199, sendto 44 206, recvfrom 45 207, shutdown 48 210, getsockopt 55 209,
    setsockopt 54 208, getsockname 51 204, getpeername 52 205,
    # memory
    brk 12 214, mmap 9 222, munmap 11 215, mprotect 10 226, mremap 25 216, madvise 28 233, mincore 27 232,
    msync 26 227, mlock 149 228, munlock 150 229, get_mempolicy 239 236, membarrier 324 283,
    # threads and time
    futex 202 98, sched_yield 24 124, sched_getaffinity 204 123, sched_setaffinity 203 122, sched_getparam 143 121,
    sched_getscheduler 145 120, sched_get_priority_max 146 125, sched_get_priority_min 147 126,
    set_robust_list 273 99, get_robust_list 274 100, set_tid_address 218 96, rseq 334 293, arch_prctl 158 -,
    prctl 157 167, gettid 186 178, getcpu 309 168, nanosleep 35 101, clock_nanosleep 230 115,
    clock_gettime 228 113, clock_getres 229 114, gettimeofday 96 169, time 201 -, times 100 153, getitimer 36 102,
    setitimer 38 103, alarm 37 -, pause 34 -,
    # the process itself
    execve 59 221, exit 60 93, exit_group 231 94, wait4 61 260, waitid 247 95, kill 62 129, tkill 200 130,
    tgkill 234 131, rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigpending 127 136,
    rt_sigsuspend 130 133, rt_sigtimedwait 128 137, sigaltstack 131 132, restart_syscall 219 128, getpid 39 172,
    getppid 110 173, getpgrp 111 -, getpgid 121 155, setpgid 109 154, getsid 124 156, setsid 112 157,
    getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177, getresuid 118 148, getresgid 120 150,
    getgroups 115 158, getrlimit 97 163, setrlimit 160 164, prlimit64 302 261, getrusage 98 165,
    getpriority 140 141, uname 63 160, sysinfo 99 179, getrandom 318 278, capget 125 90,
"""
PROCESSORS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH of each
CLONE = {"x86_64": 56, "aarch64": 220}
FORKS = {"x86_64": (57, 58), "aarch64": ()}
SOCKETPAIR = {"x86_64": 53, "aarch64": 199}
CLONE3 = 435
THREAD, UNIX = 0x00010000, 1  # CLONE_THREAD, AF_UNIX
LOAD, EQUAL, AT_LEAST, ABOVE, HAS, GIVE = 0x20, 0x15, 0x35, 0x25, 0x45, 0x06
ALLOW, NOT_PERMITTED, NOT_THERE = 0x7FFF0000, 0x00050001, 0x00050026
NUMBER, PROCESSOR, FIRST_ARGUMENT = 0, 4, 16  # places in seccomp_data; of arguments, the lower half


def needed(machine):
    """The numbers of the allowed calls on "x86_64" or "aarch64"."""
    lines = [line for line in NEEDED.splitlines() if not line.strip().startswith("#")]
    calls = [call.split() for call in " ".join(lines).split(",") if call.strip()]
    column = 1 if machine == "x86_64" else 2
    return {int(call[column]) for call in calls if call[column] != "-"}


def program(machine):
    """The filter as (code, jump if true, jump if false, value) lines.

    What is not listed does not exist (ENOSYS), so that libraries fall back on what they know. Threads may start; processes may not
    (EPERM), since RLIMIT_NPROC does not hold root.
    """
    lines = [
        (LOAD, 0, 0, PROCESSOR),
        (EQUAL, 1, 0, PROCESSORS[machine]),
        (GIVE, 0, 0, NOT_PERMITTED),
        (LOAD, 0, 0, NUMBER),
        # clone3 hides its flags; C libraries then call clone
        (EQUAL, 0, 1, CLONE3),
        (GIVE, 0, 0, NOT_THERE),
    ]
    for number in FORKS[machine]:
        lines += [(EQUAL, 0, 1, number), (GIVE, 0, 0, NOT_PERMITTED)]
    lines += [
        (EQUAL, 0, 4, CLONE[machine]),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (HAS, 0, 1, THREAD),
        (GIVE, 0, 0, ALLOW),
        (GIVE, 0, 0, NOT_PERMITTED),
        (EQUAL, 0, 4, SOCKETPAIR[machine]),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (EQUAL, 0, 1, UNIX),
        (GIVE, 0, 0, ALLOW),
        (GIVE, 0, 0, NOT_PERMITTED),
    ]
    for first, last in _ranges(needed(machine)):
        lines += [(AT_LEAST, 0, 2, first), (ABOVE, 1, 0, last), (GIVE, 0, 0, ALLOW)]
    return [*lines, (GIVE, 0, 0, NOT_THERE)]


def rules():
    """The filter for this machine, as bwrap --seccomp takes it; none on processors other than x86-64 and ARM64."""
    machine = platform.machine()
    return b"".join(struct.pack("=HBBI", *line) for line in program(machine)) if machine in PROCESSORS else b""


def _ranges(numbers):
    """{1, 2, 3, 7} -> [(1, 3), (7, 7)]"""
    found = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found
