# Runs between ld.so and the host's own _start, and gives it other arguments and another environment.
#
# On entry the stack holds argc, argv[0], argv[1] …, NULL, envp …, NULL, auxv …. A copy is built below it: our
# words in place of argv[0], our settings before the environment, without the variables that would steer Deno
# (DENO_*, NODE_*, OTEL_*). libc has taken `environ` from the old one already, so that is changed too.
# %rdx (ld.so's exit handler) is kept for _start.
    .text
    .globl _start
_start:
    mov (%rsp), %r8             # argc
    test %r8, %r8
    jz .Lempty                  # kernels before 5.18 allow an empty argv
    lea 16(%rsp), %rbx          # &argv[1]
    lea 16(%rsp,%r8,8), %rdi    # envp
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
    mov 16(%rsi), %r10          # the host's entry, relative to ours
    mov 24(%rsi), %r11          # the host's pointer to `environ`, relative to ours
    add $32, %rsi
    lea 1(%rcx,%r9), %rax
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
.Lempty:
    mov $127, %edi
    mov $231, %eax              # exit_group
    syscall
    .balign 16
.Ldata:                         # the four numbers, then words and settings, each ended by NUL: see attach()
