// The same as stub_x86_64.S, which explains it. x0 (ld.so's exit handler) is kept for _start.
    .text
    .globl _start
_start:
    ldr x8, [sp]                // argc
    cbz x8, .Lempty
    add x1, sp, #16             // &argv[1]
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
    ldp x6, x7, [x3], #16       // the host's entry and its pointer to `environ`, relative to ours
    add x9, x4, x5
    add x9, x9, #1
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
.Lempty:
    mov x0, #127
    mov x8, #94                 // exit_group
    svc #0
    .balign 16
.Ldata:
