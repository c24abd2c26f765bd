// The same as stub_x86_64.S, which explains it. x29 keeps the place of argc; svc changes nothing but x0.
    .set PAGE, 4096
    .set DELETE, 3
    .set KILL, 4
    .set RUN, 5
    .set EXEC, 6
    .set FLAGGED, 7
    .set ROOM, 64
    .set SETTING, 16
    .set NAME_BYTES, 18
    .set DIGITS, 16
    .text
    .globl _start
_start:
    ldr x8, [sp]
    cbz x8, .Lend
    mov x29, sp
    sub sp, sp, #2*PAGE
    add x21, x29, #16           // &argv[1]
    adr x22, .Lhome
.Lflag:
    bl .Lnext
    ldrb w2, [x1]
    cmp w2, #'-'
    b.ne .Lcommand
    ldrb w2, [x1, #1]!
    cmp w2, #'-'
    b.ne 1f
    add x1, x1, #1
1:  adr x0, .Lflags
    bl .Lchoose
    ldrb w2, [x1], #1
    cmp w19, #4
    b.eq 4f
    b.hi .Lanswer
    cbnz w2, 2f
    bl .Lnext
2:  ldrb w2, [x1]
    cbz w2, .Lload
    cmp w19, #2
    b.hi .Lflag
    b.lo 3f
    adr x0, .Lformats
    bl .Lexact
    b .Lflag
3:  mov x22, x1
    b .Lflag
4:  cbz w2, .Lflag              // only create asks who makes the cgroups
    b .Lload

.Lcommand:
    adr x0, .Lcommands
    bl .Lexact
    mov w23, w19                // the command
    mov x24, #0                 // the signal; for `delete` whether it is forced; for `exec` where the program's words are
    adr x18, .Lmoves            // the name of the table
    cmp w23, #RUN
    b.eq .Lrun
    bl .Lnext
    ldrb w2, [x1]
    cmp w2, #'-'
    b.ne .Lname
    cmp w23, #EXEC
    b.eq .Lflagged
    cmp w23, #DELETE
    b.ne .Lload
    adr x0, .Lforce
    bl .Lexact
    mov x24, #1
    bl .Lnext
    ldrb w2, [x1]
.Lname:
    mov x25, x1
    cbz w2, .Lload
    cmp w2, #'-'
    b.eq .Lload
    cmp w2, #'.'
    b.eq .Lload
    adr x3, .Lletters
    ldp x4, x5, [x3]
2:  ldrb w2, [x1], #1
    tbnz w2, #7, .Lload
    tst w2, #64
    csel x6, x4, x5, eq
    lsr x6, x6, x2
    tbnz x6, #0, 2b
    cbnz w2, .Lload
    cmp w23, #EXEC
    b.eq .Lexec
    cmp w23, #FLAGGED
    b.ne 4f
    adr x18, .Lflaggeds
    b .Lfind
4:  cmp w23, #KILL
    b.ne 3f
    mov x24, #15
    ldr x2, [x21]
    cbz x2, 3f
    bl .Lnext
    adr x0, .Lsignals
    bl .Lexact
    adr x2, .Lnumbers-1
    ldrb w24, [x2, x19]
3:  ldr x2, [x21]
    cbnz x2, .Lload

.Lfind:
    mov x8, #175                // geteuid
    svc #0
    mov w26, w0
    mov w27, #-1                // the container's directory
    mov w28, #-1                // its table
    adr x2, .Lhome
    cmp x2, x22
    b.ne 1f
    cbnz w26, .Lload
    mov w28, #-2                // and so have those who are root of a user namespace
1:  mov x1, x22
    mov w22, #-1                // the directory of all containers
    mov x0, #-100               // AT_FDCWD
    movz x2, #0x4000            // O_PATH|O_DIRECTORY|O_CLOEXEC
    movk x2, #0x28, lsl #16
    bl .Lopen
    mov w22, w0
    bl .Lcheck
    mov w0, w22
    mov x1, x25
    movz x2, #0xc000            // O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC
    movk x2, #0x8, lsl #16
    bl .Lopen
    mov w27, w0
    bl .Lcheck
    mov w0, w27
    mov x1, x18
    movz x2, #0x8800            // O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC
    movk x2, #0x8, lsl #16
    bl .Lopen
.Ltable:
    mov w28, w0
    bl .Lcheck
    ldr x26, [x1, #48]          // st_size
    sub x2, x26, #0x21
    lsr x2, x2, #20
    cbnz x2, .Lleave
    movz x20, #0x1000           // DATA; where pages have 64 KiB this fails
    movk x20, #0x41, lsl #16
    mov x0, x20
    mov x1, x26
    mov x2, #3                  // PROT_READ|PROT_WRITE
    movz x3, #2                 // MAP_PRIVATE|MAP_FIXED_NOREPLACE
    movk x3, #0x10, lsl #16
    mov w4, w28
    mov x5, #0
    mov x8, #222                // mmap
    svc #0
    cmp x0, x20
    b.ne .Lleave
    ldr x2, [x20, #24]
    ldr x3, .Lform
    cmp x2, x3
    b.ne .Lleave
    ldr x2, [x20, #16]
    cmp x2, x26                 // a file that was cut off
    b.ne .Lleave
    mov w2, w27
    stp x2, x24, [x20]          // what the table is told
    adr x3, .Lunmap             // and where to go if it cannot do it
    stp x23, x3, [x20, #16]
    mov w0, w28
    bl .Lclose
    mov w0, w22
    bl .Lclose
    adr x2, _start
    ldr x3, .Lwalk
    add x2, x2, x3
    br x2

.Lanswer:
    ldr x2, .Lanswers
    cbz x2, .Lload
    adr x1, _start
    add x1, x1, x2
    ldp x21, x3, [x1], #16      // the lengths
    cmp w19, #6
    b.ls 1f
    add x1, x1, x21
    mov x21, x3
1:  mov x22, x1
    mov x0, #13                 // SIGPIPE
    adr x1, .Lignore
    mov x2, #0
    mov x3, #8                  // sizeof(sigset_t)
    mov x8, #134                // rt_sigaction
    svc #0
2:  mov x0, #1
    mov x1, x22
    mov x2, x21
    mov x8, #64                 // write
    svc #0
    cmp x0, #0
    b.le .Lload
    add x22, x22, x0
    subs x21, x21, x0
    b.ne 2b
    mov x0, #0
    b .Lexit

.Lexec:
    mov x24, x21
    bl .Lnext
    ldrb w2, [x1]
    cbz w2, .Lload
    cmp w2, #'-'
    b.eq .Lload
    adr x18, .Lexecs
    b .Lfind

.Lflagged:
    mov w23, #FLAGGED
    sub x24, x21, #8            // where they begin
1:  adr x0, .Lexecflags
    bl .Lchoose
    ldrb w2, [x1]
    cbnz w2, 2f                 // its value is behind the `=`
    cmp w19, #2
    b.ls 3f
    bl .Lnext
    b 3f
2:  cmp w19, #2
    b.ls .Lload
3:  bl .Lnext
    ldrb w2, [x1]
    cmp w2, #'-'
    b.eq 1b
    b .Lname

.Lrun:
    add x2, x29, #24
    cmp x21, x2                 // there were flags
    b.ne .Lload
    bl .Lnext
    ldrb w2, [x1]
    cbz w2, .Lload
    cmp w2, #'-'
    b.eq .Lload
    ldr x2, [x21]
    cbnz x2, .Lload
    add x3, x21, #8
    ldr x4, .Llisten
1:  ldr x2, [x3], #8
    cbz x2, 2f
    ldr x5, [x2]
    cmp x4, x5, lsl #8
    b.ne 1b
    b .Lload
2:  mov x25, x1
    mov x8, #175                // geteuid
    svc #0
    cbnz w0, .Lload
    mov w26, #0
    mov w27, #-1
    mov w28, #-1
    mov w22, #-1
    mov x0, #-100               // AT_FDCWD
    mov x1, x25
    movz x2, #0x4000            // O_PATH|O_DIRECTORY|O_CLOEXEC
    movk x2, #0x28, lsl #16
    bl .Lopen
    mov w27, w0                 // the bundle
    sub x1, x29, #PAGE
    mov x8, #80                 // fstat
    svc #0
    cbnz w0, .Lleave
    ldr x2, [x1, #8]            // st_ino
    sub x25, x29, #PAGE/2       // behind what fstat fills in
    strb wzr, [x25]
    mov w3, #16
    bl .Lhex
    mov x0, #-100               // AT_FDCWD
    adr x1, .Lruns
    movz x2, #0x4000            // O_PATH|O_DIRECTORY|O_CLOEXEC
    movk x2, #0x28, lsl #16
    bl .Lopen
    mov w22, w0                 // what is kept
    bl .Lcheck
    mov w0, w22
    mov x1, x25
    movz x2, #0x8800            // O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC
    movk x2, #0x8, lsl #16
    bl .Lopen
    b .Ltable

// Writes w3 digits of x2 to end before x25.
.Lhex:
    and w4, w2, #15
    lsr x2, x2, #4
    cmp w4, #10
    b.lo 1f
    add w4, w4, #'a'-'0'-10
1:  add w4, w4, #'0'
    strb w4, [x25, #-1]!
    subs w3, w3, #1
    b.ne .Lhex
    ret

.Lleave:
    mov w0, w28
    bl .Lclose
    mov w0, w22
    bl .Lclose
    mov w0, w27
    bl .Lclose
    b .Lload
.Lunmap:
    mov x0, x20
    mov x1, x26
    mov x8, #215                // munmap
    svc #0
    b .Lload

.Lnext:
    ldr x1, [x21], #8
    cbz x1, .Lload
    ret

.Lchoose:
    mov w19, #0
1:  add w19, w19, #1
    mov x3, x1
2:  ldrb w2, [x0], #1
    ldrb w4, [x3]
    cmp w2, w4
    b.ne 3f
    add x3, x3, #1
    cbnz w2, 2b
    sub x3, x3, #1
    b 5f
3:  cbnz w2, 4f
    cmp w4, #'='
    b.eq 5f
    sub x0, x0, #1
4:  ldrb w2, [x0], #1
    cbnz w2, 4b
    ldrb w2, [x0]
    cbnz w2, 1b
    b .Lload
5:  mov x1, x3
    ret

.Lexact:
    mov x17, x30
    bl .Lchoose
    ldrb w2, [x1]
    cbnz w2, .Lload
    ret x17

.Lopen:
    mov x3, #0
    mov x8, #56                 // openat
    svc #0
    tbnz w0, #31, 1f
    ret
1:  cmn w0, #2                  // ENOENT
    b.ne .Lleave
    cmn w27, #1
    b.ne .Lleave
    cmn w28, #1
    b.ne .Lleave
    cmp w23, #DELETE
    b.ne .Lleave
    cbz x24, .Lleave
    mov x0, #0
    b .Lexit

.Lcheck:
    sub x1, x29, #PAGE
    mov x8, #80                 // fstat
    svc #0
    cbnz w0, .Lleave
    ldr w2, [x1, #24]           // st_uid
    cmp w2, w26
    b.ne .Lleave
    ldr w2, [x1, #16]           // st_mode
    mov w3, #022
    tst w2, w3
    b.ne .Lleave
    ret

.Lclose:
    mov x8, #57
    svc #0
    ret

.Lload:
    mov sp, x29
    sub sp, sp, #2*PAGE
    sub x0, x29, #PAGE
    mov x1, #PAGE
    mov x8, #17                 // getcwd
    svc #0
    cmn x0, #2                  // ENOENT
    b.ne 1f
    adr x0, .Lnowhere
    mov x8, #49                 // chdir
    svc #0
1:  ldr x2, [x29]
    add x21, x29, #16
    add x21, x21, x2, lsl #3    // envp
1:  ldr x2, [x21], #8
    cbnz x2, 1b
    mov x2, x21
2:  ldp x3, x4, [x2], #16
    cmp x3, #6                  // AT_PAGESZ
    b.ne 2b
    sub x22, x4, #1
    adr x1, _start
    ldr x2, .Linterpreter
    add x1, x1, x2
    mov x0, #-100               // AT_FDCWD
    mov x2, #0x80000            // O_CLOEXEC
    mov x3, #0
    mov x8, #56                 // openat
    svc #0
    mov w28, w0
    sub x1, x29, #PAGE
    mov x2, #PAGE
    mov x8, #63                 // read
    svc #0
    cmp x0, #64
    b.lt .Lend
    ldr x23, [x1, #32]          // e_phoff
    add x23, x23, x1
    ldrh w24, [x1, #56]         // e_phnum
    mov x2, #56
    madd x24, x24, x2, x23      // the end of its headers
    ldr x27, [x1, #24]          // e_entry
    mov x2, x23
3:  ldr w3, [x2]
    cmp w3, #1                  // PT_LOAD
    b.ne 4f
    ldr x1, [x2, #16]           // p_vaddr
    ldr x3, [x2, #40]           // p_memsz
    add x1, x1, x3
4:  add x2, x2, #56
    cmp x2, x24
    b.lo 3b
    mov x0, #0
    mov x2, #0                  // PROT_NONE
    mov x3, #0x22               // MAP_PRIVATE|MAP_ANONYMOUS
    bl .Lmap
    mov x25, x0                 // where it lies
.Lsegment:
    ldr w3, [x23]
    cmp w3, #1
    b.ne 3f
    ldr w3, [x23, #4]           // p_flags
    and w2, w3, #2
    ubfx w4, w3, #2, #1
    orr w2, w2, w4
    and w4, w3, #1
    orr w2, w2, w4, lsl #2
    ldr x0, [x23, #16]
    and x1, x0, x22
    ldr x5, [x23, #8]           // p_offset
    sub x5, x5, x1
    sub x0, x0, x1
    add x0, x0, x25
    ldr x6, [x23, #32]          // p_filesz
    add x1, x1, x6
    mov w4, w28
    mov x3, #0x12               // MAP_PRIVATE|MAP_FIXED
    bl .Lmapfile
    ldr x7, [x23, #40]
    cmp x7, x6
    b.eq 3f
    add x0, x0, x1              // what the file does not have is zero
1:  tst x0, x22
    b.eq 2f
    strb wzr, [x0], #1
    b 1b
2:  ldr x1, [x23, #16]
    add x1, x1, x7
    add x1, x1, x25
    subs x1, x1, x0
    b.ls 3f
    mov x3, #0x32               // MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS
    bl .Lmap
3:  add x23, x23, #56
    cmp x23, x24
    b.lo .Lsegment
    mov w0, w28
    bl .Lclose
    add x27, x27, x25
5:  ldr x2, [x21]
    cmp x2, #3                  // AT_PHDR
    b.ne 6f
    adr x4, _start
    ldr x3, .Lheaders
    add x4, x4, x3
    str x4, [x21, #8]
6:  cmp x2, #7                  // AT_BASE
    b.ne 7f
    str x25, [x21, #8]
7:  cmp x2, #9                  // AT_ENTRY
    b.ne 8f
    adr x4, .Lbegin
    str x4, [x21, #8]
8:  add x21, x21, #16
    cbnz x2, 5b
    mov sp, x29
    mov x0, #0
    mov x29, #0
    mov x30, #0
    br x27

.Lmap:
    mov x4, #-1
    mov x5, #0
.Lmapfile:
    mov x8, #222                // mmap
    svc #0
    cmn x0, #4095
    b.hs .Lend
    ret

.Lend:
    mov x0, #127
.Lexit:
    mov x8, #94                 // exit_group
    svc #0

.Lbegin:
    mov x17, sp
    mov x16, x0                 // for Deno's _start
    sub sp, sp, #ROOM
    mov x0, #0
    mov x1, #7                  // RLIMIT_NOFILE
    mov x2, #0
    mov x3, sp
    mov x8, #261                // prlimit64
    svc #0
    ldr x2, [sp]
    add x25, sp, #SETTING+NAME_BYTES+DIGITS
    strb wzr, [x25]
    mov w3, #DIGITS
    bl .Lhex
    add x14, sp, #SETTING
    adr x1, .Lopenfiles
    mov x2, #NAME_BYTES
1:  sub x2, x2, #1
    ldrb w3, [x1, x2]
    strb w3, [x14, x2]
    cbnz x2, 1b
    mov x0, x16
    mov x16, x14                // the setting
    ldr x8, [x17]               // argc
    add x1, x17, #16            // &argv[1]
    add x2, x1, x8, lsl #3      // envp
.Lenvend:
    ldr x9, [x2], #8
    cbnz x9, .Lenvend
.Lauxend:
    ldr x9, [x2], #16
    cbnz x9, .Lauxend
    sub x2, x2, x1              // the size of all that is copied
    adr x3, .Ldata
    ldp x4, x5, [x3], #16       // the numbers of words and of settings
    ldp x6, x7, [x3], #48       // Deno's entry and its pointer to `environ`
    add x9, x4, x5
    add x9, x9, #2
    add x2, x2, x9, lsl #3
    mov x9, sp
    sub x9, x9, x2
    and x9, x9, #-16
    mov sp, x9
    add x8, x8, x4
    sub x8, x8, #1
    str x8, [x9], #8            // the new argc
.Lword:
    str x3, [x9], #8
.Lwordbyte:
    ldrb w10, [x3], #1
    cbnz w10, .Lwordbyte
    subs x4, x4, #1
    b.ne .Lword
.Largument:
    ldr x10, [x1], #8
    str x10, [x9], #8
    cbnz x10, .Largument
    mov x11, x9                 // the new envp
.Lsetting:
    str x3, [x9], #8
.Lsettingbyte:
    ldrb w10, [x3], #1
    cbnz w10, .Lsettingbyte
    subs x5, x5, #1
    b.ne .Lsetting
    str x16, [x9], #8
    movz w12, #0x4544
    movk w12, #0x4f4e, lsl #16  // "DENO"
    movz w13, #0x4f4e
    movk w13, #0x4544, lsl #16  // "NODE"
    movz w14, #0x544f
    movk w14, #0x4c45, lsl #16  // "OTEL"
.Lvariable:
    ldr x10, [x1], #8
    cbz x10, .Lauxiliary
    ldrb w15, [x10, #4]
    cmp w15, #'_'
    b.ne .Lkeep
    ldr w15, [x10]
    cmp w15, w12
    b.eq .Lvariable
    cmp w15, w13
    b.eq .Lvariable
    cmp w15, w14
    b.eq .Lvariable
.Lkeep:
    str x10, [x9], #8
    b .Lvariable
.Lauxiliary:
    str xzr, [x9], #8
.Lpair:
    ldp x10, x15, [x1], #16
    stp x10, x15, [x9], #16
    cbnz x10, .Lpair
    adr x10, _start
    ldr x12, [x10, x7]
    str x11, [x12]              // environ = the new envp
    add x10, x10, x6
    br x10

    .balign 8
.Lletters: // what names are made of: letters, digits and _ + - .
    .quad 0x03ff680000000000, 0x07fffffe87fffffe
.Lignore: .quad 1, 0, 0, 0      // struct sigaction: SIG_IGN
.Lform: .ascii "moves 2\0"       // MOVES_FORM in runtime/launch/image.ts
.Llisten: .quad 0x5f4e455453494c00  // "LISTEN_" behind any byte
.Lnumbers: .byte 15, 15, 15, 9, 9, 9, 1, 1, 1, 2, 2, 2, 3, 3, 3, 10, 10, 10, 12, 12, 12
.Lsignals:
    .asciz "15", "TERM", "SIGTERM", "9", "KILL", "SIGKILL", "1", "HUP", "SIGHUP", "2", "INT", "SIGINT"
    .asciz "3", "QUIT", "SIGQUIT", "10", "USR1", "SIGUSR1", "12", "USR2", "SIGUSR2", ""
.Lflags: .asciz "root", "log-format", "log", "systemd-cgroup", "version", "v", "help", "h", ""
.Lformats: .asciz "json", "text", ""
.Lcommands: .asciz "state", "start", "delete", "kill", "run", "exec", ""
.Lforce: .asciz "--force", "-f", ""
.Lexecflags: .asciz "--detach", "-d", "--process", "-p", "--pid-file", "--env", "-e", "--cwd", "--user", "-u", ""
.Lhome: .asciz "/run/ai-sandbox/containers"
.Lmoves: .asciz "moves"
.Lexecs: .asciz "execs"
.Lflaggeds: .asciz "flagged"
.Lruns: .asciz "/run/ai-sandbox/runs"
.Lopenfiles: .ascii "AI_SANDBOX_NOFILE="
.Lnowhere: .asciz "/proc/self/fdinfo"
    .balign 16
// Filled in by attach(); addresses are relative to _start. Words and settings follow, each ended by NUL.
.Ldata:
.Lwords: .quad 0                // their number
.Lsettings: .quad 0             // their number
.Lentry: .quad 0                // of Deno
.Lenviron: .quad 0              // Deno's pointer to `environ`
.Linterpreter: .quad 0          // the path of ld.so
.Lheaders: .quad 0              // the program headers as they were
.Lwalk: .quad 0                 // the machine code that walks tables
.Lanswers: .quad 0              // what is printed for flags, or 0: two lengths, then the texts
