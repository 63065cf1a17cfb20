# as -o hello.o hello-amd64.s && ld -s -z noseparate-code --build-id=none -o ../rootfs/amd64/usr/bin/hello hello.o
.globl _start
_start:
    mov $1, %eax                # write
    mov $1, %edi                # to stdout
    lea text(%rip), %rsi
    mov $length, %edx
    syscall
    mov $60, %eax               # exit
    xor %edi, %edi
    syscall
text:
    .ascii "hello from linux/amd64\n"
.set length, . - text
