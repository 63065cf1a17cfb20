// aarch64-linux-gnu-as -o hello.o hello-arm64.s
// aarch64-linux-gnu-ld -s -z noseparate-code --build-id=none -o ../rootfs/arm64/usr/bin/hello hello.o
.globl _start
_start:
    mov x8, #64                 // write
    mov x0, #1                  // to stdout
    adr x1, text
    mov x2, #length
    svc #0
    mov x8, #93                 // exit
    mov x0, #0
    svc #0
text:
    .ascii "hello from linux/arm64\n"
.set length, . - text
