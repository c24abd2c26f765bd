# The launcher's machine code for x86-64: walks the records of a plan (see ../image.ts for their layout).
# Registers: rbx = the current record. No stack is used, nothing is called, no memory but the image's is touched.
        .intel_syntax noprefix
        .set DATA, 0x411000             # image.ts DATA_ADDRESS: {failed record, errno, scratch}
        .set FIRST, DATA + 0x20         # the first record
        .globl _start
_start: mov     ebx, FIRST
next:   mov     rdi, [rbx]
        mov     rsi, [rbx + 8]
        mov     rdx, [rbx + 16]
        mov     r10, [rbx + 24]
        mov     r8, [rbx + 32]
        mov     r9, [rbx + 40]
        mov     cl, [rbx + 88]          # which arguments are addresses of slots
        test    cl, 1
        jz      1f
        mov     rdi, [rdi]
1:      test    cl, 2
        jz      1f
        mov     rsi, [rsi]
1:      test    cl, 4
        jz      1f
        mov     rdx, [rdx]
1:      test    cl, 8
        jz      1f
        mov     r10, [r10]
1:      test    cl, 16
        jz      1f
        mov     r8, [r8]
1:      test    cl, 32
        jz      1f
        mov     r9, [r9]
1:      movsxd  rax, dword ptr [rbx + 64]
        test    eax, eax
        js      pseudo
        syscall
        cmp     rax, -4095
        jae     error
store:  mov     rcx, [rbx + 48]
        mov     [rcx], rax
        test    rax, rax
        jz      zero
        mov     ebx, [rbx + 76]
        jmp     next
zero:   mov     ebx, [rbx + 72]
        jmp     next
error:  neg     eax
        cmp     eax, 4                  # EINTR
        je      retry
        cmp     eax, 11                 # EAGAIN
        je      retry
match:  xor     ecx, ecx
1:      cmp     al, [rbx + rcx + 90]
        je      ignore
        inc     ecx
        cmp     ecx, 6
        jb      1b
        mov     [DATA], rbx
        mov     [DATA + 8], eax
        mov     ebx, [rbx + 80]
        jmp     next
retry:  cmp     byte ptr [rbx + 89], 0
        je      match
        dec     byte ptr [rbx + 89]
        jmp     next
ignore: mov     ebx, [rbx + 84]
        jmp     next
pseudo: cmp     eax, -3
        je      digits
        jl      leave
        imul    rsi, rdx
        add     rdi, rsi
        cmp     eax, -2
        jne     1f
        mov     rdi, [rdi]              # load: *(first + second * third)
1:      mov     rax, rdi                # let: first + second * third
        jmp     store
digits: mov     rax, rdi                # decimal: the digits of first end before second
        mov     ecx, 10
1:      xor     edx, edx
        div     rcx
        add     dl, 48
        dec     rsi
        mov     [rsi], dl
        test    rax, rax
        jnz     1b
        jmp     store
leave:  jmp     qword ptr [DATA + 24] # leave: whoever began knows what to do instead
