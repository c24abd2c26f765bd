# Runs in CRIU when that has been loaded, before it begins (see waiting.ts): waits until it is told the length of a plan's
# table, has the launcher's machine code go through that, and then lets CRIU begin.
# The launcher's machine code (../runtime/launch/machine/x86_64.s) follows.
        .intel_syntax noprefix
        .set GATE, 5                    # waiting_plan.ts GATE_FD
        .set TABLE, 6                   # waiting_plan.ts TABLE_FD
        .set DATA, 0x411000             # machine.ts DATA_ADDRESS
        .globl _start
_start: push    rbx
        push    rax                     # room for the length
wait:   xor     eax, eax                # read
        mov     edi, GATE
        mov     rsi, rsp
        mov     edx, 8
        syscall
        cmp     rax, -4                 # EINTR
        je      wait
        cmp     rax, 8
        jne     quit                    # whoever waited for it has gone
        mov     eax, 9                  # mmap
        mov     edi, DATA
        mov     rsi, [rsp]
        mov     edx, 3                  # PROT_READ | PROT_WRITE
        mov     r10d, 0x100002          # MAP_PRIVATE | MAP_FIXED_NOREPLACE
        mov     r8d, TABLE
        xor     r9d, r9d
        syscall
        cmp     rax, DATA
        jne     quit
        lea     rcx, [rip + done]
        mov     [DATA + 24], rcx        # where a plan leaves to
        jmp     machine
done:   mov     eax, 11                 # munmap
        mov     edi, DATA
        mov     rsi, [rsp]
        syscall
        pop     rcx
        pop     rbx
        ret
quit:   mov     eax, 231                # exit_group
        mov     edi, 1
        syscall
machine:
