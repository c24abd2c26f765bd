# Runs before all else in the process: the program header that names ld.so is hidden from the kernel, which then begins
# here, without any library. Each part goes on with the next:
#
#  1. A command on a container that was compiled (runtime/plan/moves.ts, runtime/plan/execs.ts), the run of a bundle that
#     was run before (runtime/plan/rerun.ts), or one more container of a bundle (runtime/plan/recreate.ts) is walked through.
#     What `--version` and `--help` print was found out by the build (tools/build/answers.ts). All else is left to Deno.
#  2. ld.so is loaded as the kernel would have loaded it, where there is a working directory.
#  3. When all libraries are there, Deno is given other arguments and another environment, in which it is told of what it
#     changes before the program can look.
#
# On entry the stack holds argc, argv[0], argv[1] …, NULL, envp …, NULL, auxv …. %rbp keeps its place.
    .set DATA, 0x411000         # where a table lies: DATA_ADDRESS in runtime/launch/machine.ts
    .set PAGE, 4096
    .set BUFFER, -PAGE          # from %rbp: what the kernel fills in; it has room for a struct stat
    .set DELETE, 3              # commands, as MOVES in runtime/plan/moves.ts counts them
    .set KILL, 4
    .set RUN, 5                 # RERUN in runtime/plan/rerun.ts
    .set EXEC, 6                # EXEC in runtime/plan/execs.ts
    .set FLAGGED, 7             # EXEC_FLAGGED there
    .set CREATE, 8              # RECREATE in runtime/plan/recreate_run.ts
    .set DETACHED, 9            # RECREATE_DETACHED there: `run --detach`
    .set ATTACHED, 10           # RECREATE_ATTACHED there: `run --bundle`, which waits for the end
    .set ASKED, -48             # from %rbp: what a container is to be like, as ASKED there
    .set LENGTH, 8              # from ASKED: of its id
    .set PIDFILE, 16            # the path of a file, or 0
    .set ROOT, 24               # where containers are
    .set BUNDLE, 32             # the path of its bundle
    .set LOG, 40                # the path of the log, or 0
    .set ROOM, 64               # for a struct rlimit, and the setting that tells of it
    .set SETTING, 16
    .set NAME_BYTES, 18         # of .Lopenfiles
    .set DIGITS, 16
    .text
    .globl _start
_start:
    cmpq $0, (%rsp)
    je .Lend                    # kernels before 5.18 allow an empty argv
    mov %rsp, %rbp
    sub $2*PAGE, %rsp
    lea 16(%rbp), %r12          # &argv[1]
    lea .Lhome(%rip), %r13      # where containers are
    xor %r10d, %r10d            # whether systemd makes the cgroups
    movq $0, ASKED+LOG(%rbp)
.Lflag:
    call .Lnext
    cmpb $'-', (%rsi)
    jne .Lcommand
    inc %rsi
    cmpb $'-', (%rsi)
    jne 1f
    inc %rsi
1:  lea .Lflags(%rip), %rdi
    call .Lchoose
    inc %rsi
    cmp $4, %ebx
    je 4f
    ja .Lanswer                 # whatever follows
    cmpb $0, -1(%rsi)
    jne 2f                      # it is behind the `=`
    call .Lnext
2:  cmpb $0, (%rsi)
    je .Lload
    cmp $2, %ebx
    ja 5f
    jb 3f
    lea .Lformats(%rip), %rdi
    call .Lexact
    jmp .Lflag
3:  mov %rsi, %r13
    jmp .Lflag
5:  mov %rsi, ASKED+LOG(%rbp)   # errors and warnings are logged
    jmp .Lflag
4:  inc %r10d                   # only create asks for that
    cmpb $0, -1(%rsi)
    je .Lflag
    jmp .Lload

.Lcommand:
    lea .Lcommands(%rip), %rdi
    call .Lexact
    mov %ebx, %r14d             # the command
    xor %r15d, %r15d            # the signal; for `delete` whether it is forced; for `exec` where the program's words are
    cmp $RUN, %r14d
    je .Lrun
    cmp $CREATE, %r14d
    je .Lcreate
    call .Lnext
    cmpb $'-', (%rsi)
    jne .Lname
    cmp $EXEC, %r14d
    je .Lflagged
    cmp $DELETE, %r14d
    jne .Lload
    lea .Lforce(%rip), %rdi
    call .Lexact
    inc %r15d
    call .Lnext
.Lname:
    mov %rsi, %r9
    cmpb $0, (%rsi)
    je .Lload
    cmpb $'-', (%rsi)
    je .Lload
    cmpb $'.', (%rsi)           # some that begin so are names, but rare
    je .Lload
2:  movzbl (%rsi), %eax
    inc %rsi
    cmp $127, %eax
    ja .Lload
    bt %rax, .Lletters(%rip)
    jc 2b
    test %eax, %eax
    jnz .Lload
    cmp $EXEC, %r14d
    je .Lexec
    cmp $CREATE, %r14d
    jae .Lasked
    lea .Lflaggeds(%rip), %r10
    cmp $FLAGGED, %r14d
    je .Lfind
    cmp $KILL, %r14d
    jne 3f
    mov $15, %r15d              # SIGTERM
    cmpq $0, (%r12)
    je 3f
    call .Lnext
    lea .Lsignals(%rip), %rdi
    call .Lexact
    lea .Lnumbers-1(%rip), %rax
    movzbl (%rax,%rbx), %r15d
3:  cmpq $0, (%r12)             # there must be no more
    jne .Lload
    lea .Lmoves(%rip), %r10
.Lfind:
    push %r10                   # the name of the table

    mov $107, %eax              # geteuid
    syscall
    mov %eax, %r12d
    mov $-1, %ebx               # the container's directory
    mov $-1, %r8d               # its table
    lea .Lhome(%rip), %rax
    cmp %rax, %r13
    jne 1f
    test %r12d, %r12d           # users have homes of their own
    jnz .Lload
    mov $-2, %r8d               # and so have those who are root of a user namespace
1:  mov %r13, %rsi
    mov $-1, %r13d              # the directory of all containers
    mov $-100, %edi             # AT_FDCWD
    mov $0x290000, %edx         # O_PATH|O_DIRECTORY|O_CLOEXEC
    call .Lopen
    mov %eax, %r13d
    call .Lcheck
    mov %r13d, %edi
    mov %r9, %rsi
    mov $0xb0000, %edx          # O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC
    call .Lopen
    mov %eax, %ebx
    call .Lcheck
    mov %ebx, %edi
    pop %rsi
    mov $0xa0800, %edx          # O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC
    call .Lopen
.Ltable:
    mov %eax, %r8d
    call .Lcheck
    mov 48(%rsi), %rsi          # st_size
    lea -0x21(%rsi), %rax
    cmp $0x100000, %rax
    ja .Lleave
    mov $DATA, %edi
    mov $3, %edx                # PROT_READ|PROT_WRITE
    mov $0x100002, %r10d        # MAP_PRIVATE|MAP_FIXED_NOREPLACE
    xor %r9d, %r9d
    mov $9, %eax                # mmap
    syscall
    cmp %rdi, %rax
    jne .Lleave
    mov %rsi, %r12              # how much there is to unmap
    mov 24(%rdi), %rax
    cmp .Lform(%rip), %rax
    jne .Lleave
    cmp %rsi, 16(%rdi)          # a file that was cut off
    jne .Lleave
    mov %rbx, (%rdi)            # what the table is told
    mov %r15, 8(%rdi)
    mov %r14, 16(%rdi)
    lea .Lunmap(%rip), %rax     # and where to go if it cannot do it: it closes the container's directory
    mov %rax, 24(%rdi)
    mov %r8d, %edi
    call .Lclose
    mov %r13d, %edi
    call .Lclose
    lea _start(%rip), %rax
    add .Lwalk(%rip), %rax
    jmp *%rax

# Prints what is kept. Where that cannot be written Deno says so: it ignores SIGPIPE too.
.Lanswer:
    lea _start(%rip), %r12
    mov .Lanswers(%rip), %rax
    test %rax, %rax
    jz .Lload
    add %rax, %r12
    mov (%r12), %r13            # the length of the first text
    lea 16(%r12), %r14          # the text
    cmp $6, %ebx
    jbe 1f
    add %r13, %r14              # the second one
    mov 8(%r12), %r13
1:  mov $13, %edi               # SIGPIPE
    lea .Lignore(%rip), %rsi
    xor %edx, %edx
    mov $8, %r10d               # sizeof(sigset_t)
    mov $13, %eax               # rt_sigaction
    syscall
2:  mov $1, %edi
    mov %r14, %rsi
    mov %r13, %rdx
    mov $1, %eax                # write
    syscall
    test %rax, %rax
    jle .Lload
    add %rax, %r14
    sub %rax, %r13
    jnz 2b
    xor %edi, %edi
    jmp .Lexit

# `exec ID PROGRAM …` without flags, which would stand before the program.
.Lexec:
    mov %r12, %r15
    call .Lnext
    cmpb $0, (%rsi)
    je .Lload
    cmpb $'-', (%rsi)
    je .Lload
    lea .Lexecs(%rip), %r10
    jmp .Lfind

# `exec FLAGS ID …`: which flags they must be the table knows. Those with a value are the later ones of .Lexecflags.
.Lflagged:
    mov $FLAGGED, %r14d
    lea -8(%r12), %r15          # where they begin
1:  lea .Lexecflags(%rip), %rdi
    call .Lchoose
    cmpb $0, (%rsi)
    jne 2f                      # its value is behind the `=`
    cmp $2, %ebx
    jbe 3f
    call .Lnext
    jmp 3f
2:  cmp $2, %ebx
    jbe .Lload
3:  call .Lnext
    cmpb $'-', (%rsi)
    je 1b
    jmp .Lname

# `run [--detach] --bundle DIR [--pid-file FILE] ID`: as `create`, and more. Without either it may be the run of a directory.
.Lrunflags:
    mov $ATTACHED, %r14d
# `create [--bundle DIR] [--pid-file FILE] ID`: what is asked for is put together, each flag once.
.Lcreate:
    test %r10d, %r10d
    jnz .Lload
    lea ASKED(%rbp), %r15
    xor %eax, %eax
    mov %rax, PIDFILE(%r15)
    mov %rax, BUNDLE(%r15)
    mov %r13, ROOT(%r15)
1:  call .Lnext
    cmpb $'-', (%rsi)
    jne .Lname
    lea .Lcreateflags(%rip), %rdi
    call .Lchoose
    inc %rsi
    cmpb $0, -1(%rsi)
    jne .Lload                  # it is behind the `=`, as nobody has it
    cmp $3, %ebx
    ja 3f
    call .Lnext
    cmpb $0, (%rsi)
    je .Lload
    cmpb $'-', (%rsi)
    je .Lload
    lea PIDFILE(%r15), %rdi
    cmp $1, %ebx
    je 2f
    lea BUNDLE(%r15), %rdi
2:  cmpq $0, (%rdi)
    jne .Lload
    mov %rsi, (%rdi)
    jmp 1b
3:  cmp $ATTACHED, %r14d
    jne .Lload                  # `create` cannot be asked for that
    mov $DETACHED, %r14d
    jmp 1b
.Lasked:
    mov %r9, (%r15)
    dec %rsi
    sub %r9, %rsi
    cmp $255, %rsi              # no file has a longer name
    ja .Lload
    mov %rsi, LENGTH(%r15)
    mov BUNDLE(%r15), %rsi
    test %rsi, %rsi
    jnz 1f
    cmp $ATTACHED, %r14d
    je .Lload
    lea .Lhere(%rip), %rsi
    mov %rsi, BUNDLE(%r15)
1:  movabs $0x5f594649544f4e00, %r8 # "NOTIFY_" behind any byte: somebody waits for the program's word
    jmp .Lbundle

# `run DIR` and nothing else, as root: what is kept of it has the name of the directory's inode.
.Lrun:
    mov (%r12), %rsi
    test %rsi, %rsi
    jz .Lload
    cmpb $'-', (%rsi)
    je .Lrunflags
    lea 24(%rbp), %rax
    cmp %rax, %r12              # there were flags
    jne .Lload
    call .Lnext
    cmpb $0, (%rsi)
    je .Lload
    xor %r8d, %r8d
.Lbundle:
    cmpq $0, (%r12)
    jne .Lload
    lea 8(%r12), %rdi
    movabs $0x5f4e455453494c00, %rdx # "LISTEN_" behind any byte: sockets that are to be passed on
1:  mov (%rdi), %rax
    test %rax, %rax
    jz 2f
    add $8, %rdi
    mov (%rax), %rcx
    shl $8, %rcx
    cmp %rdx, %rcx
    je .Lload
    cmp %r8, %rcx
    jne 1b
    jmp .Lload
2:  mov $107, %eax              # geteuid
    syscall
    test %eax, %eax
    jnz .Lload
    xor %r12d, %r12d
    mov $-1, %ebx
    mov $-1, %r8d
    mov $-1, %r13d
    mov $-100, %edi             # AT_FDCWD
    mov $0x290000, %edx         # O_PATH|O_DIRECTORY|O_CLOEXEC
    call .Lopen
    mov %eax, %ebx              # the bundle
    mov %eax, %edi
    lea BUFFER(%rbp), %rsi
    mov $5, %eax                # fstat
    syscall
    test %eax, %eax
    jnz .Lleave
    lea BUFFER+PAGE/2(%rbp), %rdi # behind what fstat fills in
    movb $0, (%rdi)
    lea .Lruns(%rip), %r9
    cmp $RUN, %r14d
    je 3f
    lea .Lcreates(%rip), %r9    # there the length of the id is a part of the name, and whether it is waited for
    mov LENGTH(%r15), %edx
    cmp $ATTACHED, %r14d
    jne 2f
    or $0x100, %edx
2:  mov $3, %ecx
    call .Lhex
3:  mov 8(%rsi), %rdx           # st_ino
    mov $16, %ecx
    call .Lhex
    mov %r9, %rsi
    mov %rdi, %r9
    mov $-100, %edi             # AT_FDCWD
    mov $0x290000, %edx         # O_PATH|O_DIRECTORY|O_CLOEXEC
    call .Lopen
    mov %eax, %r13d             # what is kept
    call .Lcheck
    mov %r13d, %edi
    mov %r9, %rsi
    mov $0xa0800, %edx          # O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC
    call .Lopen
    jmp .Ltable

# Writes %ecx digits of %rdx to end before %rdi.
.Lhex:
    mov %edx, %eax
    and $15, %eax
    shr $4, %rdx
    cmp $10, %eax
    jb 1f
    add $'a'-'0'-10, %eax
1:  add $'0', %eax
    dec %rdi
    mov %al, (%rdi)
    dec %ecx
    jnz .Lhex
    ret

# What was opened is closed, and Deno does all.
.Lleave:
    mov %r8d, %edi
    call .Lclose
    mov %r13d, %edi
    call .Lclose
    mov %ebx, %edi
    call .Lclose
    jmp .Lload
.Lunmap:
    mov $DATA, %edi
    mov %r12, %rsi
    mov $11, %eax               # munmap
    syscall
    jmp .Lload

# %rsi = the next argument.
.Lnext:
    mov (%r12), %rsi
    add $8, %r12
    test %rsi, %rsi
    jz .Lload
    ret

# %ebx = the place, from 1 on, of %rsi among the words at %rdi; %rsi is moved to its end, which is a NUL or a `=`.
.Lchoose:
    xor %ebx, %ebx
1:  inc %ebx
    mov %rsi, %rcx
2:  mov (%rdi), %al
    inc %rdi
    cmp %al, (%rcx)
    jne 3f
    inc %rcx
    test %al, %al
    jnz 2b
    dec %rcx
    jmp 5f
3:  test %al, %al
    jnz 4f
    cmpb $'=', (%rcx)
    je 5f
    dec %rdi
4:  mov (%rdi), %al
    inc %rdi
    test %al, %al
    jnz 4b
    cmp %al, (%rdi)
    jne 1b
    jmp .Lload
5:  mov %rcx, %rsi
    ret

# The same for a word that must end there.
.Lexact:
    call .Lchoose
    cmpb $0, (%rsi)
    jne .Lload
    ret

# Opens %rsi in the directory %edi. A container that is not there, where --root says, counts as deleted if that is forced.
.Lopen:
    xor %r10d, %r10d
    mov $257, %eax              # openat
    syscall
    test %eax, %eax
    jns 1f
    cmp $-2, %eax               # ENOENT
    jne .Lleave
    cmp $-1, %ebx
    jne .Lleave
    cmp $-1, %r8d
    jne .Lleave
    cmp $DELETE, %r14d
    jne .Lleave
    test %r15d, %r15d
    jz .Lleave
    xor %edi, %edi
    jmp .Lexit
1:  ret

# Leaves what another user has, or could write to: what is walked through has all rights of ours.
.Lcheck:
    mov %eax, %edi
    lea BUFFER(%rbp), %rsi
    mov $5, %eax                # fstat
    syscall
    test %eax, %eax
    jnz .Lleave
    cmp %r12d, 28(%rsi)         # st_uid
    jne .Lleave
    testb $022, 24(%rsi)        # st_mode
    jnz .Lleave
    ret

.Lclose:
    mov $3, %eax
    syscall
    ret

# 2. ld.so. The program headers that it sees, at .Lheaders, name it still.
.Lload:
    mov %rbp, %rsp
    sub $2*PAGE, %rsp
    lea BUFFER(%rbp), %rdi
    mov $PAGE, %esi
    mov $79, %eax               # getcwd
    syscall
    cmp $-2, %rax               # ENOENT: it has been removed, and Deno does not begin without one
    jne 1f
    lea .Lnowhere(%rip), %rdi
    mov $80, %eax               # chdir
    syscall
1:  lea _start(%rip), %rsi
    add .Linterpreter(%rip), %rsi
    mov $-100, %edi             # AT_FDCWD
    mov $0x80000, %edx          # O_CLOEXEC
    xor %r10d, %r10d
    mov $257, %eax              # openat
    syscall
    mov %eax, %r12d
    mov %eax, %edi
    lea BUFFER(%rbp), %rsi
    mov $PAGE, %edx
    xor %eax, %eax              # read
    syscall
    cmp $64, %rax
    jl .Lend
    mov 32(%rsi), %rbx          # e_phoff
    add %rsi, %rbx
    movzwl 56(%rsi), %eax       # e_phnum
    imul $56, %rax
    lea (%rbx,%rax), %r15       # the end of its headers
    mov %rbx, %rax
1:  cmpl $1, (%rax)             # PT_LOAD
    jne 2f
    mov 16(%rax), %rsi          # p_vaddr
    add 40(%rax), %rsi          # p_memsz: the last is the highest
2:  add $56, %rax
    cmp %r15, %rax
    jb 1b
    xor %edi, %edi
    xor %edx, %edx              # PROT_NONE
    mov $0x22, %r10d            # MAP_PRIVATE|MAP_ANONYMOUS
    call .Lmap
    mov %rax, %r13              # where it lies
.Lsegment:
    cmpl $1, (%rbx)
    jne 3f
    mov 4(%rbx), %eax           # p_flags, whose outer bits stand the other way round in mmap
    mov %eax, %edx
    and $2, %edx
    test $4, %al
    jz 1f
    or $1, %edx
1:  test $1, %al
    jz 2f
    or $4, %edx
2:  mov 16(%rbx), %rdi
    mov %rdi, %rsi
    and $PAGE-1, %esi
    mov 8(%rbx), %r9            # p_offset
    sub %rsi, %r9
    sub %rsi, %rdi
    add %r13, %rdi
    add 32(%rbx), %rsi          # p_filesz
    mov %r12d, %r8d
    mov $0x12, %r10d            # MAP_PRIVATE|MAP_FIXED
    call .Lmapfile
    mov 40(%rbx), %rax
    cmp 32(%rbx), %rax
    je 3f
    add %rsi, %rdi              # what the file does not have is zero
    mov %rdi, %rcx
    neg %rcx
    and $PAGE-1, %ecx
    xor %eax, %eax
    rep stosb
    mov 16(%rbx), %rsi
    add 40(%rbx), %rsi
    add %r13, %rsi
    sub %rdi, %rsi
    jbe 3f
    mov $0x32, %r10d            # MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS
    call .Lmap
3:  add $56, %rbx
    cmp %r15, %rbx
    jb .Lsegment
    mov %r12d, %edi
    call .Lclose
    mov BUFFER+24(%rbp), %rbx   # e_entry
    add %r13, %rbx
    mov (%rbp), %rax
    lea 16(%rbp,%rax,8), %rdi   # envp
4:  mov (%rdi), %rax
    add $8, %rdi
    test %rax, %rax
    jnz 4b
5:  mov (%rdi), %rax
    cmp $3, %eax                # AT_PHDR
    jne 6f
    lea _start(%rip), %rcx
    add .Lheaders(%rip), %rcx
    mov %rcx, 8(%rdi)
6:  cmp $7, %eax                # AT_BASE
    jne 7f
    mov %r13, 8(%rdi)
7:  cmp $9, %eax                # AT_ENTRY
    jne 8f
    lea .Lbegin(%rip), %rcx
    mov %rcx, 8(%rdi)
8:  add $16, %rdi
    test %eax, %eax
    jnz 5b
    mov %rbp, %rsp
    xor %edx, %edx
    jmp *%rbx

.Lmap:
    mov $-1, %r8d
    xor %r9d, %r9d
.Lmapfile:
    mov $9, %eax                # mmap
    syscall
    cmp $-4095, %rax
    jae .Lend
    ret

.Lend:
    mov $127, %edi
.Lexit:
    mov $231, %eax              # exit_group
    syscall

# 3. A copy of what the stack holds is built below it: our words in place of argv[0], our settings before the
# environment, without the variables that would steer Deno (DENO_*, NODE_*, OTEL_*). libc has taken `environ` from the
# old one already, so that is changed too. %rdx (ld.so's exit handler) is kept for Deno's _start.
.Lbegin:
    mov %rsp, %r15
    mov %rdx, %r13
    sub $ROOM, %rsp
    xor %edi, %edi
    mov $7, %esi                # RLIMIT_NOFILE: Deno raises the soft limit to the hard one
    xor %edx, %edx
    mov %rsp, %r10
    mov $302, %eax              # prlimit64
    syscall
    mov (%rsp), %rdx
    lea SETTING+NAME_BYTES+DIGITS(%rsp), %rdi
    movb $0, (%rdi)
    mov $DIGITS, %ecx
    call .Lhex
    lea .Lopenfiles(%rip), %rsi
    lea SETTING(%rsp), %rdi
    mov %rdi, %r14
    mov $NAME_BYTES, %ecx
    rep movsb
    mov %r13, %rdx
    mov (%r15), %r8             # argc
    lea 16(%r15), %rbx          # &argv[1]
    lea 16(%r15,%r8,8), %rdi    # envp
.Lenvend:
    cmpq $0, (%rdi)
    lea 8(%rdi), %rdi
    jne .Lenvend
.Lauxend:
    cmpq $0, (%rdi)
    lea 16(%rdi), %rdi
    jne .Lauxend
    sub %rbx, %rdi              # the size of all that is copied
    lea .Ldata(%rip), %rsi
    mov (%rsi), %rcx            # the number of words
    mov 8(%rsi), %r9            # the number of settings
    mov 16(%rsi), %r10          # Deno's entry
    mov 24(%rsi), %r11          # its pointer to `environ`
    add $64, %rsi
    lea 2(%rcx,%r9), %rax       # with argc, and the setting at %r14
    lea (%rdi,%rax,8), %rdi
    mov %rsp, %rax
    sub %rdi, %rax
    and $-16, %rax
    mov %rax, %rsp
    lea -1(%r8,%rcx), %rax
    mov %rax, (%rsp)            # the new argc
    lea 8(%rsp), %rdi
.Lword:
    mov %rsi, %rax
    stosq
.Lwordbyte:
    lodsb
    test %al, %al
    jnz .Lwordbyte
    dec %rcx
    jnz .Lword
.Largument:
    mov (%rbx), %rax
    add $8, %rbx
    stosq
    test %rax, %rax
    jnz .Largument
    mov %rdi, %r12              # the new envp
.Lsetting:
    mov %rsi, %rax
    stosq
.Lsettingbyte:
    lodsb
    test %al, %al
    jnz .Lsettingbyte
    dec %r9
    jnz .Lsetting
    mov %r14, %rax
    stosq
.Lvariable:
    mov (%rbx), %rax
    add $8, %rbx
    test %rax, %rax
    jz .Lauxiliary
    cmpb $'_', 4(%rax)
    jne .Lkeep
    mov (%rax), %ecx
    cmp $0x4f4e4544, %ecx       # "DENO"
    je .Lvariable
    cmp $0x45444f4e, %ecx       # "NODE"
    je .Lvariable
    cmp $0x4c45544f, %ecx       # "OTEL"
    je .Lvariable
.Lkeep:
    stosq
    jmp .Lvariable
.Lauxiliary:
    stosq                       # the NULL after envp, then AT_NULL's pair at the end
.Lpair:
    mov (%rbx), %rcx
    mov 8(%rbx), %rax
    add $16, %rbx
    mov %rcx, (%rdi)
    mov %rax, 8(%rdi)
    add $16, %rdi
    test %rcx, %rcx
    jnz .Lpair
    lea _start(%rip), %rax
    mov (%rax,%r11), %rcx
    mov %r12, (%rcx)            # environ = the new envp
    add %r10, %rax
    jmp *%rax

.Lletters:                      # what names are made of: letters, digits and _ + - .
    .quad 0x03ff680000000000, 0x07fffffe87fffffe
.Lignore: .quad 1, 0, 0, 0      # struct sigaction: SIG_IGN
.Lform: .ascii "moves 2\0"       # MOVES_FORM in runtime/launch/image.ts
.Lnumbers: .byte 15, 15, 15, 9, 9, 9, 1, 1, 1, 2, 2, 2, 3, 3, 3, 10, 10, 10, 12, 12, 12
.Lsignals:
    .asciz "15", "TERM", "SIGTERM", "9", "KILL", "SIGKILL", "1", "HUP", "SIGHUP", "2", "INT", "SIGINT"
    .asciz "3", "QUIT", "SIGQUIT", "10", "USR1", "SIGUSR1", "12", "USR2", "SIGUSR2", ""
.Lflags: .asciz "root", "log-format", "log", "systemd-cgroup", "version", "v", "help", "h", ""
.Lformats: .asciz "json", "text", ""
.Lcommands: .asciz "state", "start", "delete", "kill", "run", "exec", "-", "create", ""
.Lforce: .asciz "--force", "-f", ""
.Lexecflags: .asciz "--detach", "-d", "--process", "-p", "--pid-file", "--env", "-e", "--cwd", "--user", "-u", ""
.Lcreateflags: .asciz "--pid-file", "--bundle", "-b", "--detach", "-d", ""
.Lhere: .asciz "."
.Lopenfiles: .ascii "AI_SANDBOX_NOFILE=" # OPEN_FILES in tools/build/settings.ts
.Lnowhere: .asciz "/proc/self/fdinfo" # in place of a working directory: cli/working_directory.ts knows it
.Lhome: .asciz "/run/ai-sandbox/containers"
.Lmoves: .asciz "moves"
.Lexecs: .asciz "execs"
.Lflaggeds: .asciz "flagged"
.Lruns: .asciz "/run/ai-sandbox/runs"
.Lcreates: .asciz "/run/ai-sandbox/recreates"
    .balign 16
# Filled in by attach(); addresses are relative to _start. Words and settings follow, each ended by NUL.
.Ldata:
.Lwords: .quad 0                # their number
.Lsettings: .quad 0             # their number
.Lentry: .quad 0                # of Deno
.Lenviron: .quad 0              # Deno's pointer to `environ`
.Linterpreter: .quad 0          # the path of ld.so
.Lheaders: .quad 0              # the program headers as they were
.Lwalk: .quad 0                 # the machine code that walks tables
.Lanswers: .quad 0              # what is printed for flags, or 0: two lengths, then the texts
