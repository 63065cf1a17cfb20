//! Loaders and libraries, where they are found and where not.

use dockless::elf::Machine;
use dockless::verify::finding::Verdict::Runs;

use crate::build::{ARM, X86};
use crate::case::{Case, GLIBC, MUSL, app, case, changed, expect_all, glibc, library, musl, with};
use crate::elf::made_for;
use crate::layers::{Item, bin, dir, sym};

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

/// A program that needs `libx.so.1` and looks for it there: `DT_RUNPATH`.
fn looking(path: &'static str) -> Vec<u8> {
    changed(X86, |elf| {
        *elf = elf.clone().with(GLIBC, &["libx.so.1"]);
        elf.search_path = Some((29, path));
    })
}

/// A root of Debian with a program that looks for `libx.so.1` there, and a cache that does not name it.
fn root(path: &'static str, more: Vec<Item>) -> Vec<Item> {
    let own = vec![
        bin("etc/ld.so.cache", cache("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6")),
        bin("srv/app", looking(path)),
    ];
    [glibc(), own, more].concat()
}

fn x() -> Vec<u8> {
    library(&[])
}

fn relative() -> Vec<Case> {
    let lib = || bin("srv/lib/libx.so.1", x());
    let beside = || bin("srv/libx.so.1", x());
    let found = |name, path, item, folder: &str| {
        case(name, root(path, vec![item]), &["/srv/app"]).config(|config| config.working_dir = folder.into())
    };
    let stated = |name, value: &str, item| {
        case(name, root("", vec![item]), &["/srv/app"]).config(|config| {
            config.working_dir = "/srv".into();
            config.env = vec![format!("LD_LIBRARY_PATH={value}")];
        })
    };
    let started = |words: &[&str]| case("a relative RUNPATH of what is started", root("lib", vec![lib()]), words);
    vec![
        found("a relative RUNPATH", "lib", lib(), "/srv"),
        found("a relative RUNPATH elsewhere", "lib", lib(), "/opt")
            .fails(&["error library-missing /srv/lib/libx.so.1"]),
        found("an empty folder in RUNPATH", "/x:", beside(), "/srv"),
        found("an empty folder in RUNPATH elsewhere", "/x:", beside(), "/")
            .fails(&["error library-missing /srv/libx.so.1"]),
        found("an empty RUNPATH", "", beside(), "/srv").fails(&["error library-missing /srv/libx.so.1"]),
        stated("a relative LD_LIBRARY_PATH", "lib", lib()),
        stated("an empty folder in LD_LIBRARY_PATH", "/x:", beside()),
        stated("$ORIGIN in LD_LIBRARY_PATH", "$ORIGIN/lib", lib()),
        stated("two folders with a semicolon", "/x;/srv/lib", lib()),
        started(&["/srv/app"])
            .container(r#""workingDirectory":"{{ x }}""#)
            .stays_open(&["note library-missing /srv/lib/libx.so.1"]),
        started(&["/bin/sh", "-c", "exec /srv/app"]).config(|config| config.working_dir = "/srv".into()),
        started(&["/bin/sh", "-c", "cd /srv && exec /srv/app"])
            .stays_open(&["note library-missing /srv/lib/libx.so.1"]),
    ]
}

fn rights() -> Vec<Case> {
    let user = |case: Case| case.config(|config| config.user = "1000:1000".into());
    let lib = || bin("opt/libx.so.1", x());
    let missing = &["error library-missing /opt/libx.so.1"];
    let open = &["note library-missing /opt/libx.so.1"];
    let start = |name, items| case(name, root("/opt", items), &["/srv/app"]);
    let setuid = |path, more: Vec<Item>| {
        let app = bin("srv/app", looking(path)).mode(0o4755);
        let mut items = root(path, more);
        items.retain(|item| !item.is_at("srv/app"));
        [items, vec![app]].concat()
    };
    vec![
        user(start("a library of root's alone", vec![lib().mode(0o600)])).fails(missing),
        start("a library of root's alone for root", vec![lib().mode(0o600)]),
        user(start("a library in a closed folder", vec![dir("opt").mode(0o700), lib()])).fails(missing),
        start("a library that one group may read", vec![lib().mode(0o640).owner(7)])
            .config(|config| config.user = "1000".into())
            .stays_open(open),
        user(start("a closed library before an open one", vec![lib().mode(0o600), bin("usr/lib/libx.so.1", x())])),
        user(case("a setuid program and LD_LIBRARY_PATH", setuid("/none", vec![lib()]), &["/srv/app"]))
            .config(|config| config.env = vec!["LD_LIBRARY_PATH=/opt".into()])
            .stays_open(open),
        case("a setuid program of root's for root", setuid("/none", vec![lib()]), &["/srv/app"])
            .config(|config| config.env = vec!["LD_LIBRARY_PATH=/opt".into()]),
        user(case("a setuid program and $ORIGIN", setuid("$ORIGIN/../opt", vec![lib()]), &["/srv/app"]))
            .stays_open(open),
        user(case("a setuid program and a whole path", setuid("/opt", vec![lib()]), &["/srv/app"])),
    ]
}

fn broken() -> Vec<Case> {
    let right = || bin("usr/lib/libx.so.1", x());
    let start = |name, first| case(name, root("/opt", vec![first, right()]), &["/srv/app"]);
    let wrong = &["error library-missing /opt/libx.so.1"];
    vec![
        start("an empty file before the library", bin("opt/libx.so.1", b"")).fails(wrong),
        start("a linker's script before the library", bin("opt/libx.so.1", b"INPUT(libx.so.2)\n")).fails(wrong),
        start("a folder before the library", dir("opt/libx.so.1")).fails(wrong),
        start(
            "a library of i386 before the library",
            bin("opt/libx.so.1", made_for(Machine::I386).library(&[]).bytes()),
        ),
        start("an empty file behind LD_LIBRARY_PATH", bin("opt/libx.so.1", b""))
            .container(r#""environment":[{"name":"LD_LIBRARY_PATH","value":"/usr/lib"}]"#)
            .stays_open(&["note library-missing /opt/libx.so.1"]),
        case(
            "musl ends there as well",
            with(
                musl(),
                vec![
                    bin("app", made_for(X86).with(MUSL, &["libx.so"]).bytes()),
                    bin("lib/libx.so", b""),
                    bin("usr/lib/libx.so", x()),
                ],
            ),
            &["/app"],
        )
        .fails(&["error library-missing /lib/libx.so"]),
    ]
}

/// Files that are mapped under other names than those that are asked for.
fn names() -> Vec<Case> {
    let named = changed(X86, |elf| {
        *elf = elf.clone().library(&[]);
        elf.soname = "libx.so.1";
    });
    let app = |loader| {
        changed(X86, |elf| {
            *elf = elf.clone().with(loader, &["libnone.so", "libuser.so"]);
            elf.search_path = Some((29, "/opt"));
        })
    };
    let own = |loader| {
        vec![
            bin("etc/ld.so.cache", cache("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6")),
            bin("app", app(loader)),
            bin("opt/libx.so.1", named.clone()),
            sym("opt/libnone.so", "libx.so.1"),
            bin("opt/libuser.so", library(&["libx.so.1"])),
        ]
    };
    let beside = |machine| {
        let mut items = with(glibc(), own(GLIBC));
        items.retain(|item| !item.is_at("opt/libx.so.1") && !item.is_at("opt/libnone.so"));
        items.extend([
            bin("opt/libnone.so", named.clone()),
            bin("data/libx.so.1", made_for(machine).library(&[]).bytes()),
        ]);
        items
    };
    vec![
        case("a library that is mapped by a link, and asked for by its SONAME", with(glibc(), own(GLIBC)), &["/app"]),
        case("a SONAME that goes before another file of that name", beside(X86), &["/app"]),
        case("a SONAME that goes before a file for arm64", beside(ARM), &["/app"])
            .says(Runs, &["warning foreign-executable /data/libx.so.1"]),
    ]
}

/// musl's order: `LD_LIBRARY_PATH`, the search paths of the libraries, its own folders; the first file that opens.
fn order_of_musl() -> Vec<Case> {
    let app = |tag| {
        changed(X86, |elf| {
            *elf = elf.clone().with(MUSL, &["libx.so.1"]);
            elf.search_path = Some((tag, "/opt/good"));
        })
    };
    let start = |name, tag, more: Vec<Item>| {
        case(name, with(musl(), [vec![bin("app", app(tag))], more].concat()), &["/app"])
            .config(|config| config.env = vec!["LD_LIBRARY_PATH=/opt/env".into()])
    };
    let arm = || made_for(ARM).library(&[]).bytes();
    vec![
        start(
            "LD_LIBRARY_PATH goes before RPATH",
            15,
            vec![bin("opt/good/libx.so.1", b"text"), bin("opt/env/libx.so.1", x())],
        ),
        start(
            "text in LD_LIBRARY_PATH goes before RPATH",
            15,
            vec![bin("opt/good/libx.so.1", x()), bin("opt/env/libx.so.1", b"text")],
        )
        .fails(&["error library-missing /opt/env/libx.so.1"]),
        start(
            "text in LD_LIBRARY_PATH goes before RUNPATH",
            29,
            vec![bin("opt/good/libx.so.1", x()), bin("opt/env/libx.so.1", b"text")],
        )
        .fails(&["error library-missing /opt/env/libx.so.1"]),
        start(
            "musl passes over no file for another machine",
            15,
            vec![bin("lib/libx.so.1", arm()), bin("usr/lib/libx.so.1", x())],
        )
        .fails(&["error foreign-executable /lib/libx.so.1"]),
        start(
            "a file may state other folders than musl's own",
            15,
            vec![bin("etc/ld-musl-x86_64.path", b"/opt/x\n"), bin("lib/libx.so.1", x())],
        )
        .stays_open(&["note library-missing /lib/libx.so.1"]),
    ]
}

fn folders() -> Vec<Case> {
    let through_a_link = |name, liby: &str| {
        let libx = changed(X86, |elf| {
            *elf = elf.clone().library(&["liby.so"]);
            elf.search_path = Some((29, "$ORIGIN"));
        });
        let items = vec![sym("opt/lib/libx.so.1", "/usr/share/x/libx.so.1"), bin("usr/share/x/libx.so.1", libx)];
        case(name, root("/opt/lib", with(items, vec![bin(liby, x())])), &["/srv/app"])
    };
    let fedora = |path: &str| {
        vec![
            bin("lib64/ld-linux-x86-64.so.2", library(&[])),
            bin("lib64/libc.so.6", library(&[])),
            bin("etc/ld.so.cache", cache("libc.so.6", "/lib64/libc.so.6")),
            bin("app", app(&["libx.so.1", "libc.so.6"])),
            bin(path, x()),
        ]
    };
    vec![
        through_a_link("$ORIGIN of a library is the folder by which it was opened", "opt/lib/liby.so"),
        through_a_link("$ORIGIN of a library is not where its link leads", "usr/share/x/liby.so")
            .fails(&["error library-missing /usr/share/x/liby.so"]),
        case("Debian's loader and /lib64", root("", vec![bin("lib64/libx.so.1", x())]), &["/srv/app"])
            .fails(&["error library-missing /lib64/libx.so.1"]),
        case("Debian's loader and /usr/lib", root("", vec![bin("usr/lib/libx.so.1", x())]), &["/srv/app"]),
        case("Fedora's loader and /usr/lib64", fedora("usr/lib64/libx.so.1"), &["/app"]),
        case("Fedora's loader and Debian's folder", fedora("usr/lib/x86_64-linux-gnu/libx.so.1"), &["/app"])
            .stays_open(&["note library-missing /usr/lib/x86_64-linux-gnu/libx.so.1"]),
        case(
            "a loader of another glibc, whose folder is its own",
            root(
                "",
                vec![
                    bin("opt/c/ld-linux-x86-64.so.2", library(&[])),
                    bin("opt/c/libc.so.6", library(&[])),
                    bin("opt/c/libx.so.1", x()),
                    bin("app", made_for(X86).with("/opt/c/ld-linux-x86-64.so.2", &["libx.so.1", "libc.so.6"]).bytes()),
                ],
            ),
            &["/app"],
        ),
        case(
            "a library for newer CPUs alone",
            root("/opt", vec![bin("opt/glibc-hwcaps/x86-64-v3/libx.so.1", x())]),
            &["/srv/app"],
        )
        .stays_open(&["note library-missing /opt/glibc-hwcaps/x86-64-v3/libx.so.1"]),
        case(
            "a library for newer CPUs beside that for all",
            root("/opt", vec![bin("opt/glibc-hwcaps/x86-64-v3/libx.so.1", x()), bin("opt/libx.so.1", x())]),
            &["/srv/app"],
        ),
        case(
            "a library for newer CPUs where nobody looks",
            root("/opt", vec![bin("data/glibc-hwcaps/x86-64-v3/libx.so.1", x())]),
            &["/srv/app"],
        )
        .fails(&["error library-missing /data/glibc-hwcaps/x86-64-v3/libx.so.1"]),
    ]
}

fn called_loaders() -> Vec<Case> {
    let start = |name, program: Item, words: &[&str]| case(name, with(glibc(), vec![program]), words);
    let foreign = &["error foreign-executable /srv/arm"];
    vec![
        start("a loader is told a program", bin("srv/app", app(&["libc.so.6"])), &[GLIBC, "/srv/app"]),
        start("a loader needs no x bit", bin("srv/app", app(&["libc.so.6"])).mode(0o644), &[GLIBC, "/srv/app"]),
        start("a loader is told a program for arm64", bin("srv/arm", made_for(ARM).bytes()), &[GLIBC, "/srv/arm"])
            .fails(foreign),
        start(
            "a loader with options is told a program for arm64",
            bin("srv/arm", made_for(ARM).bytes()),
            &[GLIBC, "--library-path", "/srv/lib", "/srv/arm"],
        )
        .fails(foreign),
        start("a loader is told a program that is missing", bin("srv/x", b"x"), &[GLIBC, "/srv/app"])
            .fails(&["error entrypoint-not-found /srv/app"]),
        start("a loader looks a name up among libraries", bin("srv/x", b"x"), &[GLIBC, "app"]),
    ]
}

#[test]
fn libraries_are_found_where_the_loader_looks() {
    let cases = [loaders(), relative(), rights(), broken(), folders(), names(), order_of_musl(), called_loaders()];
    expect_all(&cases.into_iter().flatten().collect::<Vec<_>>());
}
