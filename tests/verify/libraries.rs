//! Loaders and libraries, where they are found and where not.

use dockless::elf::Machine;

use crate::build::{ARM, X86};
use crate::case::{Case, GLIBC, MUSL, app, case, changed, expect_all, glibc, library, musl, with};
use crate::elf::made_for;
use crate::layers::{bin, sym};

/// `/etc/ld.so.cache` with one library.
fn cache(name: &str, path: &str) -> Vec<u8> {
    let mut out = b"glibc-ld.so.cache1.1\x01\0\0\0".to_vec();
    out.resize(48, 0);
    let start = 48 + 24;
    out.extend([3, 3, 0, 0, start, 0, 0, 0]);
    out.extend(u32::try_from(usize::from(start) + name.len() + 1).expect("small").to_le_bytes());
    out.resize(usize::from(start), 0);
    out.extend(name.bytes().chain([0]).chain(path.bytes()).chain([0]));
    out
}

fn loaders() -> Vec<Case> {
    let missing = &["error interpreter-missing /app"];
    let lib = "usr/lib/libx.so.1";
    vec![
        case("a program of glibc", with(glibc(), vec![bin("app", app(&["libc.so.6"]))]), &["/app"]),
        case("a program of musl", musl(), &["/bin/sh"]),
        case(
            "a program of musl in a glibc root",
            with(glibc(), vec![bin("app", made_for(X86).with(MUSL, &["libc.musl-x86_64.so.1"]).bytes())]),
            &["/app"],
        )
        .fails(missing),
        case("a program of glibc in a musl root", with(musl(), vec![bin("app", app(&["libc.so.6"]))]), &["/app"])
            .fails(missing),
        case("no loader at all", vec![bin("app", app(&[]))], &["/app"]).fails(missing),
        case(
            "a loader for arm64",
            vec![bin("app", app(&[])), bin("lib64/ld-linux-x86-64.so.2", made_for(ARM).library(&[]).bytes())],
            &["/app"],
        )
        .fails(&["error foreign-executable /lib64/ld-linux-x86-64.so.2"]),
        case(
            "glibc's loader is musl by a link",
            with(musl(), vec![sym("lib64/ld-linux-x86-64.so.2", MUSL), bin("app", app(&["libc.so.6", "libm.so.6"]))]),
            &["/app"],
        ),
        case("a library that is missing", with(glibc(), vec![bin("app", app(&["libx.so.1"]))]), &["/app"])
            .fails(&["error library-missing /app"]),
        case("a library that a volume may bring", with(glibc(), vec![bin("app", app(&["libx.so.1"]))]), &["/app"])
            .container(r#""mountPoints":[{"sourceVolume":"v","containerPath":"/opt/libs"}]"#)
            .stays_open(&["note library-missing /app"]),
        case(
            "a library of a library that is missing",
            with(glibc(), vec![bin("app", app(&["libx.so.1"])), bin(lib, library(&["liby.so"]))]),
            &["/app"],
        )
        .fails(&["error library-missing /usr/lib/libx.so.1"]),
        case(
            "a library for arm64",
            with(glibc(), vec![bin("app", app(&["libx.so.1"])), bin(lib, made_for(ARM).library(&[]).bytes())]),
            &["/app"],
        )
        .fails(&["error foreign-executable /usr/lib/libx.so.1"]),
        case(
            "a library of i386 alone",
            with(
                glibc(),
                vec![bin("app", app(&["libx.so.1"])), bin(lib, made_for(Machine::I386).library(&[]).bytes())],
            ),
            &["/app"],
        )
        .fails(&["error foreign-executable /usr/lib/libx.so.1"]),
        case(
            "a library behind $ORIGIN",
            with(
                glibc(),
                vec![
                    bin(
                        "opt/bin/app",
                        changed(X86, |elf| {
                            *elf = elf.clone().with(GLIBC, &["libx.so.1"]);
                            elf.search_path = Some((29, "$ORIGIN/../lib"));
                        }),
                    ),
                    bin("opt/lib/libx.so.1", library(&[])),
                ],
            ),
            &["/opt/bin/app"],
        ),
        case(
            "a library's library behind the program's RUNPATH, which holds for the program alone",
            with(
                glibc(),
                vec![
                    bin("etc/ld.so.cache", cache("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6")),
                    bin(
                        "app",
                        changed(X86, |elf| {
                            *elf = elf.clone().with(GLIBC, &["libx.so.1"]);
                            elf.search_path = Some((29, "/opt"));
                        }),
                    ),
                    bin("opt/libx.so.1", library(&["liby.so"])),
                    bin("opt/liby.so", library(&[])),
                ],
            ),
            &["/app"],
        )
        .fails(&["error library-missing /opt/liby.so"]),
        case(
            "a library's library behind the program's RPATH, which holds for both",
            with(
                glibc(),
                vec![
                    bin(
                        "app",
                        changed(X86, |elf| {
                            *elf = elf.clone().with(GLIBC, &["libx.so.1"]);
                            elf.search_path = Some((15, "/opt"));
                        }),
                    ),
                    bin("opt/libx.so.1", library(&["liby.so"])),
                    bin("opt/liby.so", library(&[])),
                ],
            ),
            &["/app"],
        ),
        case(
            "a library that the loader's cache names",
            with(
                glibc(),
                vec![
                    bin("app", app(&["libx.so.1"])),
                    bin("opt/libx.so.1", library(&[])),
                    bin("etc/ld.so.cache", cache("libx.so.1", "/opt/libx.so.1")),
                ],
            ),
            &["/app"],
        ),
        case(
            "a library that nobody ran ldconfig for",
            with(
                glibc(),
                vec![
                    bin("app", app(&["libx.so.1"])),
                    bin("usr/local/lib/libx.so.1", library(&[])),
                    bin("etc/ld.so.cache", cache("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6")),
                ],
            ),
            &["/app"],
        )
        .fails(&["error library-missing /usr/local/lib/libx.so.1"]),
        case(
            "a library that LD_LIBRARY_PATH leads to",
            with(glibc(), vec![bin("app", app(&["libx.so.1"])), bin("opt/libx.so.1", library(&[]))]),
            &["/app"],
        )
        .config(|config| config.env = vec!["LD_LIBRARY_PATH=/opt".into()]),
        case(
            "a library that LD_LIBRARY_PATH of the task may lead to",
            with(glibc(), vec![bin("app", app(&["libx.so.1"])), bin("opt/libx.so.1", library(&[]))]),
            &["/app"],
        )
        .container(r#""environment":[{"name":"LD_LIBRARY_PATH","value":"/opt"}]"#)
        .stays_open(&["note library-missing /opt/libx.so.1"]),
        case(
            "a library by the name of one that is mapped",
            with(
                glibc(),
                vec![
                    bin("app", app(&["libx.so.1", "liby.so.2"])),
                    bin(
                        lib,
                        changed(X86, |elf| {
                            *elf = elf.clone().library(&[]);
                            elf.soname = "liby.so.2";
                        }),
                    ),
                ],
            ),
            &["/app"],
        ),
        case(
            "a library where musl does not look",
            with(
                musl(),
                vec![
                    bin("app", made_for(X86).with(MUSL, &["libx.so"]).bytes()),
                    bin("usr/lib/x86_64-linux-gnu/libx.so", library(&[])),
                ],
            ),
            &["/app"],
        )
        .fails(&["error library-missing /usr/lib/x86_64-linux-gnu/libx.so"]),
    ]
}

#[test]
fn libraries_are_found_where_the_loader_looks() {
    expect_all(&loaders());
}
