//! Images that are wrong in one way each, and their neighbours that are right, read from real archives in every
//! compression. What the verdict is, and what it is for, stands in one table.

use dockless::elf::Machine;
use dockless::verify::finding::Verdict::Runs;

use crate::build::{ARM, X86};
use crate::case::{Case, app, arm, case, changed, expect_all, glibc, library, musl, with, x86};
use crate::elf::made_for;
use crate::layers::{Item, bin, dir, gone, hard, opaque, sym};

fn python(more: Vec<Item>) -> Vec<Item> {
    let python = vec![bin("usr/bin/python3.13", app(&["libc.so.6"])), sym("usr/bin/python3", "python3.13")];
    [glibc(), python, more].concat()
}

/// A jar with these libraries, stored.
fn jar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, data) in members {
        out.extend(b"PK\x03\x04\x14\0\0\0\0\0");
        out.extend([0; 8]);
        let size = u32::try_from(data.len()).expect("small").to_le_bytes();
        out.extend(size.iter().chain(&size));
        out.extend(u16::try_from(name.len()).expect("short").to_le_bytes());
        out.extend([0, 0]);
        out.extend(name.bytes());
        out.extend(data);
    }
    out
}

fn machines() -> Vec<Case> {
    let foreign = &["error foreign-executable /app"];
    vec![
        case("the right program", vec![bin("app", x86())], &["/app"]),
        case("a program for arm64", vec![bin("app", arm())], &["/app"]).fails(foreign),
        case("a program for amd64 on arm64", vec![bin("app", x86())], &["/app"]).on_arm().fails(foreign),
        case("a program of i386", vec![bin("app", made_for(Machine::I386).bytes())], &["/app"])
            .stays_open(&["note foreign-executable /app"]),
        case(
            "a program of i386 whose loader is missing",
            vec![bin("app", made_for(Machine::I386).with("/lib/ld-linux.so.2", &[]).bytes())],
            &["/app"],
        )
        .fails(&["note foreign-executable /app", "error interpreter-missing /app"]),
        case("a program of armv7 on arm64", vec![bin("app", made_for(Machine::ARM).bytes())], &["/app"])
            .on_arm()
            .stays_open(&["note foreign-executable /app"]),
        case("a program of armv7 on amd64", vec![bin("app", made_for(Machine::ARM).bytes())], &["/app"]).fails(foreign),
        case("big-endian arm64", vec![bin("app", changed(ARM, |elf| elf.little_endian = false))], &["/app"])
            .on_arm()
            .fails(foreign),
        case("x32", vec![bin("app", changed(X86, |elf| elf.is_64 = false))], &["/app"]).fails(foreign),
        case("a program for FreeBSD", vec![bin("app", changed(X86, |elf| elf.os_abi = 9))], &["/app"]).fails(foreign),
        case("riscv64", vec![bin("app", made_for(Machine(243)).bytes())], &["/app"]).fails(foreign),
        case("an object file", vec![bin("app", changed(X86, |elf| elf.kind = 1))], &["/app"])
            .fails(&["error entrypoint-not-executable /app"]),
        case(
            "kernel modules, BPF and debug symbols beside",
            vec![
                bin("app", x86()),
                bin("lib/modules/6.1/x.ko", changed(ARM, |elf| elf.kind = 1)),
                bin("opt/probe.o", made_for(Machine::BPF).bytes()),
                bin("usr/lib/debug/app", changed(ARM, |elf| elf.has_code = false)),
            ],
            &["/app"],
        ),
        case("a foreign file that nobody starts", vec![bin("app", x86()), bin("opt/tool", arm())], &["/app"])
            .says(Runs, &["warning foreign-executable /opt/tool"]),
    ]
}

fn ways() -> Vec<Case> {
    let not_found = &["error entrypoint-not-found /app"];
    vec![
        case("behind a link", vec![bin("opt/app", arm()), sym("app", "opt/app")], &["/app"])
            .fails(&["error foreign-executable /opt/app"]),
        case("behind a link of a folder", vec![bin("opt/bin/app", arm()), sym("bin", "/opt/bin")], &["/bin/app"])
            .fails(&["error foreign-executable /opt/bin/app"]),
        case("a hard link", vec![bin("opt/app", arm()), hard("app", "opt/app")], &["/app"])
            .fails(&["error foreign-executable /app", "warning foreign-executable /opt/app"]),
        case("a link that leaves the root", vec![bin("app", x86()), sym("run", "../../../app")], &["/run"]),
        case("a link that leaves the root for nothing", vec![sym("app", "../../../etc/host")], &["/app"])
            .fails(not_found),
        case("a dangling link", vec![sym("app", "/opt/app")], &["/app"]).fails(not_found),
        case("links in a circle", vec![sym("app", "b"), sym("b", "app")], &["/app"]).fails(not_found),
        case("a folder", vec![dir("app"), bin("app/x", x86())], &["/app"])
            .fails(&["error entrypoint-not-executable /app"]),
        case("a relative entrypoint", vec![bin("srv/run", x86())], &["./run"])
            .config(|config| config.working_dir = "/srv".into()),
        case("a relative entrypoint elsewhere", vec![bin("srv/run", x86())], &["./run"])
            .config(|config| config.working_dir = "/opt".into())
            .fails(&["error entrypoint-not-found ./run"]),
        case("found in PATH", vec![bin("opt/bin/run", x86())], &["run"])
            .config(|config| config.env = vec!["PATH=/bin:/opt/bin".into()]),
        case(
            "in PATH in a folder that is closed, and in one that is open",
            vec![dir("root").mode(0o700), bin("root/bin/run", x86()), bin("usr/bin/run", x86())],
            &["run"],
        )
        .config(|config| {
            config.env = vec!["PATH=/root/bin:/usr/bin".into()];
            config.user = "1000:1000".into();
        }),
        case("in PATH in a closed folder alone", vec![dir("root").mode(0o700), bin("root/bin/run", x86())], &["run"])
            .config(|config| {
                config.env = vec!["PATH=/root/bin:/usr/bin".into()];
                config.user = "1000:1000".into();
            })
            .fails(&["error entrypoint-not-executable /root/bin/run"]),
        case("in PATH in a folder of a group", vec![dir("opt").mode(0o710), bin("opt/run", x86())], &["run"])
            .config(|config| {
                config.env = vec!["PATH=/opt".into()];
                config.user = "1000".into();
            })
            .stays_open(&["note entrypoint-not-found /opt/run"]),
        case("nowhere in PATH", vec![bin("opt/bin/run", x86())], &["run"]).fails(&["error entrypoint-not-found"]),
        case("deleted by a later layer", vec![bin("app", x86())], &["/app"]).then(vec![gone("app")]).fails(not_found),
        case("its folder opaque in a later layer", vec![dir("opt"), bin("opt/app", x86())], &["/opt/app"])
            .then(vec![dir("opt"), opaque("opt")])
            .fails(&["error entrypoint-not-found /opt/app"]),
        case("replaced by the right one", vec![bin("app", arm())], &["/app"]).then(vec![bin("app", x86())]),
        case("replaced by the wrong one", vec![bin("app", x86())], &["/app"])
            .then(vec![bin("app", arm())])
            .fails(&["error foreign-executable /app"]),
        case("a file in place of its folder", vec![dir("opt"), bin("opt/app", x86())], &["/opt/app"])
            .then(vec![bin("opt", b"x")])
            .fails(&["error entrypoint-not-found /opt/app"]),
        case("no x bit", vec![bin("app", x86()).mode(0o644)], &["/app"])
            .fails(&["error entrypoint-not-executable /app"]),
        case("in a folder closed for the user", vec![dir("root").mode(0o700), bin("root/app", x86())], &["/root/app"])
            .config(|config| config.user = "1000:1000".into())
            .fails(&["error entrypoint-not-executable /root/app"]),
        case(
            "open to one group, a user by name",
            vec![bin("app", x86()).mode(0o750).owner(7), bin("etc/passwd", b"www-data:x:33:33::/:/bin/sh\n")],
            &["/app"],
        )
        .config(|config| config.user = "www-data".into())
        .stays_open(&["note entrypoint-not-executable /app"]),
        case("started by tini", vec![bin("tini", x86()), bin("app", arm())], &["/tini", "--", "/app"])
            .fails(&["error foreign-executable /app"]),
        case("tini starts nothing", vec![bin("tini", x86())], &["/tini", "--", "/app"]).fails(not_found),
    ]
}

fn files() -> Vec<Case> {
    let refused = &["error entrypoint-not-executable /app"];
    let missing = &["error interpreter-missing /app"];
    let sh = || glibc();
    let cut = |length: usize| x86()[..length].to_vec();
    vec![
        case("cut off in its data", vec![bin("app", cut(130))], &["/app"]).fails(refused),
        case("cut off in its header", vec![bin("app", cut(40))], &["/app"]).fails(refused),
        case("cut off after its magic", vec![bin("app", cut(5))], &["/app"]).fails(refused),
        case("a library", with(sh(), vec![bin("app", library(&["libc.so.6"]))]), &["/app"]).fails(refused),
        case("a program that is linked with itself", vec![bin("app", library(&[]))], &["/app"]),
        case("empty", vec![bin("app", b"")], &["/app"]).fails(refused),
        case("text", vec![bin("app", b"echo hi\n")], &["/app"]).fails(refused),
        case("a program for macOS", vec![bin("app", b"\xcf\xfa\xed\xfe\x0c\0\0\x01")], &["/app"]).fails(refused),
        case("text through a shell", with(sh(), vec![bin("app", b"echo hi\n")]), &["/bin/sh", "-c", "/app"]),
        case("text as the shell's script", with(sh(), vec![bin("app", b"echo hi\n")]), &["/bin/sh", "/app"]),
        case("a shell's script that is missing", sh(), &["/bin/sh", "/app"])
            .fails(&["error entrypoint-not-found /app"]),
        case("a script", with(sh(), vec![bin("app", b"#!/bin/sh\n")]), &["/app"]),
        case("a script with CR LF", with(sh(), vec![bin("app", b"#!/bin/sh\r\necho\r\n")]), &["/app"]).fails(missing),
        case(
            "a script of perl with CR LF",
            with(
                sh(),
                vec![bin("usr/bin/perl", app(&["libc.so.6"])), bin("app", b"#!/usr/bin/perl -w\r\nprint 1;\r\n")],
            ),
            &["/app"],
        ),
        case(
            "a script with CR LF that a shell is told to read",
            with(sh(), vec![bin("app", b"#!/bin/sh\r\nset -e\r\nexec \"$@\"\r\n")]),
            &["sh", "/app"],
        )
        .stays_open(&["note interpreter-missing /app"]),
        case("CR LF behind the first line", with(sh(), vec![bin("app", b"#!/bin/sh\nexec /bin/sh\r\n")]), &["/app"])
            .fails(&["note interpreter-missing /app", "error entrypoint-not-found /bin/sh\r"]),
        case("CR LF in a command", sh(), &["sh", "-c", "export A=1\r\nexec /usr/bin/env A=1\r\n"])
            .stays_open(&["note interpreter-missing"]),
        case(
            "CR LF in a comment and a document",
            with(
                sh(),
                vec![
                    bin("app", b"#!/bin/sh\n# x\r\necho <<E\nx\r\nE\nexec /bin/env\n"),
                    sym("bin/env", "/usr/bin/env"),
                ],
            ),
            &["/app"],
        ),
        case("a script of bash", with(sh(), vec![bin("app", b"#!/bin/bash\n")]), &["/app"]).fails(missing),
        case("a script without a name", with(sh(), vec![bin("app", b"#!\n")]), &["/app"]).fails(refused),
        case("env finds it", python(vec![bin("app", b"#!/usr/bin/env python3\n")]), &["/app"]),
        case("env finds nothing", with(sh(), vec![bin("app", b"#!/usr/bin/env python3\n")]), &["/app"]).fails(missing),
        case(
            "env finds a foreign one",
            with(sh(), vec![bin("app", b"#!/usr/bin/env x\n"), bin("bin/x", arm())]),
            &["/app"],
        )
        .fails(&["error foreign-executable /bin/x"]),
        case("env without -S", python(vec![bin("app", b"#!/usr/bin/env python3 -u\n")]), &["/app"]).fails(missing),
        case("env with -S", python(vec![bin("app", b"#!/usr/bin/env -S python3 -u\n")]), &["/app"]),
        case("busybox's env with -S", with(musl(), vec![bin("app", b"#!/usr/bin/env -S sh\n")]), &["/app"])
            .stays_open(&["note interpreter-missing /app"]),
        case("a private script", with(sh(), vec![bin("app", b"#!/bin/sh\n").mode(0o711)]), &["/app"])
            .config(|config| config.user = "1000:1000".into())
            .fails(refused),
    ]
}

/// A file without `#!`: whoever calls glibc's `execvp` has a shell read it.
fn without_a_shebang() -> Vec<Case> {
    let refused = &["error entrypoint-not-executable /run"];
    let open = &["note entrypoint-not-executable /run"];
    let text = |mode| bin("run", b"echo\n").mode(mode);
    let timeout = |own: Vec<u8>| with(glibc(), vec![text(0o755), bin("bin/timeout", own)]);
    let of_glibc = || app(&["libc.so.6"]);
    let words = ["timeout", "5", "/run"];
    let musl = || with(musl(), vec![text(0o755), sym("bin/timeout", "busybox")]);
    let tool = |own| with(own, vec![bin("app", b"#!/usr/bin/env tool\n"), bin("bin/tool", b"echo\n")]);
    let user = |case: Case| case.config(|config| config.user = "1000:1000".into());
    vec![
        case("by glibc's execvp", timeout(of_glibc()), &words),
        case("by musl's", musl(), &words).fails(refused),
        case("by that of a static program", timeout(x86()), &words).stays_open(open),
        case("by env", with(glibc(), vec![text(0o755)]), &["env", "/run"]),
        case("by env, without a shell", glibc_without_sh(vec![text(0o755)]), &["env", "/run"]).fails(refused),
        case("by no execvp", with(glibc(), vec![text(0o755), bin("bin/gosu", of_glibc())]), &["gosu", "0", "/run"])
            .fails(refused),
        case("by env of a first line", tool(glibc()), &["/app"]),
        case("by musl's env of a first line", tool(crate::case::musl()), &["/app"])
            .fails(&["error entrypoint-not-executable /bin/tool"]),
        case("by a shell, without an x bit", with(glibc(), vec![text(0o644)]), &["sh", "-c", "exec /run"])
            .fails(refused),
        user(case("by a shell, of root's alone", with(glibc(), vec![text(0o700)]), &["sh", "-c", "exec /run"]))
            .fails(refused),
    ]
}

fn glibc_without_sh(more: Vec<Item>) -> Vec<Item> {
    let mut items = with(glibc(), more);
    items.retain(|item| !item.is_at("bin/sh"));
    items
}

/// Who may read what an interpreter opens, and what a change of user starts.
fn readers() -> Vec<Case> {
    let items = |folder, file| {
        let script = bin("srv/run.sh", b"echo\n").mode(file);
        let setpriv = bin("bin/setpriv", app(&["libc.so.6"]));
        let setpriv_script = bin("srv/app", b"#!/bin/sh\necho\n").mode(file);
        let passwd = bin("etc/passwd", b"app:x:1000:1000::/:/bin/sh\n");
        with(glibc(), vec![dir("srv").mode(folder), script, setpriv, setpriv_script, passwd])
    };
    let read = |name, folder, file, user: &'static str| {
        case(name, items(folder, file), &["sh", "/srv/run.sh"]).config(move |config| config.user = user.into())
    };
    let change = |name, folder, file, user: &str| {
        let user = format!("--reuid={user}");
        case(name, items(folder, file), &["setpriv", &user, "--regid=1000", "--clear-groups", "/srv/app"])
    };
    let (closed, app) = (&["error entrypoint-not-executable /srv/run.sh"], "/srv/app");
    vec![
        read("a script in a closed folder", 0o700, 0o755, "1000:1000").fails(closed),
        read("a script in an open folder", 0o755, 0o644, "1000:1000"),
        read("a script of root's alone", 0o755, 0o600, "1000:1000").fails(closed),
        read("a script of root's alone, a user by name", 0o755, 0o600, "app")
            .stays_open(&["note entrypoint-not-executable /srv/run.sh"]),
        read("a script in a closed folder, for root", 0o700, 0o755, ""),
        case("a change of user without a change", items(0o700, 0o750), &["setpriv", "--no-new-privs", app]),
        change("what another user may not start", 0o755, 0o750, "1000")
            .fails(&["error entrypoint-not-executable /srv/app"]),
        change("what another user may not come to", 0o700, 0o755, "1000")
            .fails(&["error entrypoint-not-executable /srv/app"]),
        change("what another user may start", 0o755, 0o755, "1000"),
        change("what a user by name may not start", 0o755, 0o750, "app")
            .stays_open(&["note entrypoint-not-executable /srv/app"]),
    ]
}

fn modules() -> Vec<Case> {
    let native = made_for(X86).library(&[]).bytes();
    let foreign = made_for(ARM).library(&[]).bytes();
    let site = "usr/lib/python3/dist-packages/numpy";
    let wheel = |tag: &str| format!("{site}/_core.cpython-313-{tag}-linux-gnu.so");
    let node = |more: Vec<Item>| [glibc(), vec![bin("usr/bin/node", app(&["libc.so.6"]))], more].concat();
    let java = |jars: Vec<(&str, Vec<u8>)>| {
        let jars = jars.into_iter().map(|(path, jar)| bin(path, jar).mode(0o644)).collect();
        [glibc(), vec![bin("opt/java/bin/java", app(&["libc.so.6"]))], jars].concat()
    };
    let start = ["/opt/java/bin/java", "-jar", "/app.jar"];
    let both = vec![("native/linux-x86_64/liba.so", native.clone()), ("native/linux-aarch64/liba.so", foreign.clone())];
    let rocksdb =
        vec![("librocksdbjni-linux64.so", native.clone()), ("librocksdbjni-linux-aarch64.so", foreign.clone())];
    vec![
        case("a wheel", python(vec![bin(&wheel("x86_64"), &native)]), &["python3", "-m", "app"]),
        case("a wheel for arm64", python(vec![bin(&wheel("aarch64"), &foreign)]), &["python3", "-m", "app"]).stays_open(
            &["warning foreign-executable /usr/lib/python3/dist-packages/numpy/_core.cpython-313-aarch64-linux-gnu.so"],
        ),
        case(
            "a wheel for both",
            python(vec![bin(&wheel("aarch64"), &foreign), bin(&wheel("x86_64"), &native)]),
            &["python3", "-m", "app"],
        ),
        case(
            "a wheel for arm64 that no Python loads",
            with(glibc(), vec![bin(&wheel("aarch64"), &foreign), bin("app", x86())]),
            &["/app"],
        )
        .says(
            Runs,
            &["warning foreign-executable /usr/lib/python3/dist-packages/numpy/_core.cpython-313-aarch64-linux-gnu.so"],
        ),
        case(
            "modules of Node for every machine",
            node(vec![
                bin("app/node_modules/a/prebuilds/linux-x64/a.node", &native),
                bin("app/node_modules/a/prebuilds/linux-arm64/a.node", &foreign),
                bin("app/server.js", b"1"),
            ]),
            &["node", "/app/server"],
        ),
        case(
            "a module of Node for arm64",
            node(vec![bin("app/node_modules/a/build/Release/a.node", &foreign), bin("app/server.js", b"1")]),
            &["node", "/app/server.js"],
        )
        .stays_open(&["warning foreign-executable /app/node_modules/a/build/release/a.node"]),
        case(
            "a module of Node linked with musl",
            node(vec![bin("app/a.node", library(&["libc.musl-x86_64.so.1"])), bin("app/server.js", b"1")]),
            &["node", "/app/server.js"],
        )
        .stays_open(&["warning library-missing /app/a.node"]),
        case(
            "modules of Node for both C libraries",
            node(vec![
                bin("app/sharp-linuxmusl-x64/a.node", library(&["libc.musl-x86_64.so.1"])),
                bin("app/sharp-linux-x64/a.node", library(&["libc.so.6"])),
                bin("app/server.js", b"1"),
            ]),
            &["node", "/app/server.js"],
        ),
        case("Node's script is missing", node(vec![]), &["node", "server.js"])
            .fails(&["error entrypoint-not-found /server.js"]),
        case("a jar for every machine", java(vec![("app.jar", jar(&both))]), &start),
        case(
            "jars side by side, one for each machine",
            java(vec![("app.jar", jar(&both[..1])), ("a-aarch_64.jar", jar(&both[1..]))]),
            &start,
        ),
        case("a jar that names 64 bits by the system", java(vec![("app.jar", jar(&rocksdb))]), &start),
        case("a jar for arm64", java(vec![("app.jar", jar(&both[1..]))]), &start)
            .stays_open(&["warning foreign-executable /app.jar"]),
        case("a jar for arm64 that no Java opens", vec![bin("app", x86()), bin("x.jar", jar(&both[1..]))], &["/app"])
            .says(Runs, &["warning foreign-executable /x.jar"]),
        case("a jar that is missing", java(vec![]), &start).fails(&["error entrypoint-not-found /app.jar"]),
    ]
}

fn overridden() -> Vec<Case> {
    let items = || vec![bin("app", arm()), bin("srv/tool", x86()), bin("srv/wrong", arm())];
    let known = &["warning foreign-executable /app", "warning foreign-executable /srv/wrong"];
    vec![
        case("the container's entryPoint", items(), &["/app"])
            .container(r#""entryPoint":["/srv/tool"]"#)
            .says(Runs, known),
        case("the container's entryPoint is wrong", items(), &["/srv/tool"])
            .container(r#""entryPoint":["/srv/wrong"]"#)
            .fails(&["error foreign-executable /srv/wrong", "warning foreign-executable /app"]),
        case("the container's command", items(), &[])
            .config(|config| config.cmd = vec!["/app".into()])
            .container(r#""command":["/srv/tool"]"#)
            .says(Runs, known),
        case("the container's workingDirectory", items(), &["./tool"])
            .container(r#""workingDirectory":"/srv""#)
            .says(Runs, known),
        case("the container's PATH", items(), &["tool"])
            .container(r#""environment":[{"name":"PATH","value":"/srv"}]"#)
            .says(Runs, known),
        case("the container's PATH leads nowhere", items(), &["tool"])
            .config(|config| config.env = vec!["PATH=/srv".into()])
            .container(r#""environment":[{"name":"PATH","value":"/bin"}]"#)
            .fails(&[
                "error entrypoint-not-found",
                "warning foreign-executable /app",
                "warning foreign-executable /srv/wrong",
            ]),
        case("the container's user", vec![bin("app", x86()).mode(0o700)], &["/app"])
            .container(r#""user":"1000:1000""#)
            .fails(&["error entrypoint-not-executable /app"]),
        case("a command that is not rendered", items(), &[]).container(r#""command":["{{ command }}"]"#).stays_open(&[
            "note entrypoint-not-found",
            "warning foreign-executable /app",
            "warning foreign-executable /srv/wrong",
        ]),
    ]
}

#[test]
fn every_wrong_image_is_told_from_the_right_one() {
    let cases: Vec<Case> = [machines(), ways(), files(), without_a_shebang(), readers(), modules(), overridden()]
        .into_iter()
        .flatten()
        .collect();
    assert!(cases.len() >= 80, "{}", cases.len());
    expect_all(&cases);
}
