// The launcher's machine code for aarch64: walks the records of a plan (see ../image.ts for their layout).
// Registers: x19 = the current record, x20 = DATA. No stack is used and nothing is called.
        .set DATA, 0x411000             // image.ts DATA_ADDRESS: {failed record, errno, scratch}
        .set FIRST, 0x20                // the first record, from DATA
        .globl _start
_start: movz    x20, #(DATA & 0xffff)
        movk    x20, #(DATA >> 16), lsl #16
        add     x19, x20, #FIRST
next:   ldp     x0, x1, [x19]
        ldp     x2, x3, [x19, #16]
        ldp     x4, x5, [x19, #32]
        ldrb    w9, [x19, #88]          // which arguments are addresses of slots
        tbz     w9, #0, 1f
        ldr     x0, [x0]
1:      tbz     w9, #1, 1f
        ldr     x1, [x1]
1:      tbz     w9, #2, 1f
        ldr     x2, [x2]
1:      tbz     w9, #3, 1f
        ldr     x3, [x3]
1:      tbz     w9, #4, 1f
        ldr     x4, [x4]
1:      tbz     w9, #5, 1f
        ldr     x5, [x5]
1:      ldrsw   x8, [x19, #64]
        tbnz    x8, #63, pseudo
        svc     #0
        cmn     x0, #4095
        b.hs    error
store:  ldr     x9, [x19, #48]
        str     x0, [x9]
        cbz     x0, zero
        ldr     w19, [x19, #76]
        b       next
zero:   ldr     w19, [x19, #72]
        b       next
error:  neg     w0, w0
        cmp     w0, #4                  // EINTR
        b.eq    retry
        cmp     w0, #11                 // EAGAIN
        b.eq    retry
match:  mov     x9, #90
1:      ldrb    w10, [x19, x9]
        cmp     w10, w0
        b.eq    ignore
        add     x9, x9, #1
        cmp     x9, #96
        b.lo    1b
        str     x19, [x20]
        str     w0, [x20, #8]
        ldr     w19, [x19, #80]
        b       next
retry:  ldrb    w9, [x19, #89]
        cbz     w9, match
        sub     w9, w9, #1
        strb    w9, [x19, #89]
        b       next
ignore: ldr     w19, [x19, #84]
        b       next
pseudo: cmn     x8, #3
        b.eq    digits
        b.lt    leave
        madd    x0, x1, x2, x0          // let: first + second * third
        cmn     x8, #2
        b.ne    store
        ldr     x0, [x0]                // load: *(first + second * third)
        b       store
digits: mov     x9, #10                 // decimal: the digits of first end before second
1:      udiv    x10, x0, x9
        msub    x11, x10, x9, x0
        add     w11, w11, #48
        strb    w11, [x1, #-1]!
        mov     x0, x10
        cbnz    x0, 1b
        b       store
leave:  ldr     x9, [x20, #24]          // leave: whoever began knows what to do instead
        br      x9
