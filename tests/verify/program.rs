//! The program, its interpreter, loader and libraries, and their machine.

use dockless::elf::{self, Elf, Machine};
use dockless::layer::contents::{Head, Kind, Node};
use dockless::oci::config::Config;
use dockless::oci::platform::Platform;

use dockless::verify::finding::Verdict::{DoesNotRun, Runs, Undetermined};

use crate::build::*;

#[test]
fn the_right_image_runs() {
    expect(&amd64(vec![exe("app", program(X86))], &["/app"]), &task(X86_64, ""), Runs, &[]);
    expect(&arm64(vec![exe("app", program(ARM))], &["/app"]), &task(ARM64, ""), Runs, &[]);
}

#[test]
fn a_foreign_program_names_file_layer_and_both_machines() {
    let layers = vec![vec![folder("usr"), folder("usr/bin")], vec![exe("usr/bin/app", program(X86))]];
    let image = image(&Platform::linux_arm64(), layers, entry(&["/usr/bin/app"]));
    let layer = image.layers[1].digest;
    let answer = expect(&index(vec![image]), &task(ARM64, ""), DoesNotRun, &["error foreign-executable /usr/bin/app"]);
    let finding = &answer.targets[0].findings[0];
    assert_eq!(
        finding.message,
        format!(
            "the entrypoint /usr/bin/app from layer 2 ({layer}) is made for EM_X86_64; wanted is EM_AARCH64 (ARM64, \
             from td.json:1:52)"
        )
    );
    let json = serde_json::to_value(finding).expect("JSON");
    assert_eq!(
        json,
        serde_json::json!({
            "rule": "foreign-executable", "severity": "error", "message": finding.message, "help": finding.help,
            "platform": "linux/arm64", "container": "app", "path": "/usr/bin/app", "layer": layer.to_string(),
            "found": "EM_X86_64", "wanted": "EM_AARCH64", "location": {"file": "td.json", "line": 1, "column": 52}
        })
    );
}

#[test]
fn the_way_is_followed_through_links_and_scripts() {
    let linked = vec![exe("opt/app", program(X86)), link("bin", "usr/bin"), link("usr/bin/app", "../../opt/app")];
    expect(&arm64(linked, &["/bin/app"]), &task(ARM64, ""), DoesNotRun, &["error foreign-executable /opt/app"]);
    let python = |machine| {
        vec![
            exe("usr/bin/env", program(ARM)),
            exe("usr/bin/python3.13", program(machine)),
            link("usr/bin/python3", "python3.13"),
            script("app/run.py", "/usr/bin/env python3"),
        ]
    };
    expect(&arm64(python(ARM), &["/app/run.py"]), &task(ARM64, ""), Runs, &[]);
    let wrong = ["error foreign-executable /usr/bin/python3.13"];
    let answer = expect(&arm64(python(X86), &["/app/run.py"]), &task(ARM64, ""), DoesNotRun, &wrong);
    let message = &answer.targets[0].findings[0].message;
    assert!(message.contains("the interpreter of the script /app/run.py"), "{message}");
}

#[test]
fn what_a_hash_bang_asks_for_must_be_there() {
    let sh = || exe("bin/sh", program(X86));
    let env = || exe("usr/bin/env", program(X86));
    for (nodes, wanted) in [
        (vec![script("run", "/bin/bash -e"), sh()], "asks for the interpreter /bin/bash, which is not in the image"),
        (vec![script("run", "/usr/bin/env node"), env()], "asks for the interpreter node, which is not in PATH"),
        (vec![script("run", "/usr/bin/env sh -e"), env(), sh()], "write `env -S`"),
        (vec![script("run", "/bin/sh\r"), sh()], "end with CR LF"),
        (vec![script("run", "/usr/bin/env sh\r"), env(), sh()], "end with CR LF"),
    ] {
        let answer =
            expect(&amd64(nodes, &["/run"]), &task(X86_64, ""), DoesNotRun, &["error interpreter-missing /run"]);
        let message = &answer.targets[0].findings[0].message;
        assert!(message.contains(wanted), "{message}");
    }
    let split = vec![script("run", "/usr/bin/env -S A=1 sh -e"), env(), sh()];
    expect(&amd64(split, &["/run"]), &task(X86_64, ""), Runs, &[]);
    let chain: Vec<Node> =
        (0..6).map(|n| script(&format!("s{n}"), &format!("/s{}", n + 1))).chain([exe("s6", program(X86))]).collect();
    let tail = chain[1..].to_vec();
    expect(&amd64(chain, &["/s0"]), &task(X86_64, ""), DoesNotRun, &["error entrypoint-not-executable /s5"]);
    expect(&amd64(tail, &["/s1"]), &task(X86_64, ""), Runs, &[]);
}

#[test]
fn the_loader_must_be_there_and_of_the_machine() {
    let glibc = "/lib64/ld-linux-x86-64.so.2";
    let app = || exe("app", dynamic(X86, glibc, &[]));
    let loader = |machine| exe("lib64/ld-linux-x86-64.so.2", program(machine));
    expect(&amd64(vec![app(), loader(X86)], &["/app"]), &task(X86_64, ""), Runs, &[]);
    let foreign = ["error foreign-executable /lib64/ld-linux-x86-64.so.2"];
    let mut plain = loader(X86);
    plain.mode = 0o644;
    let closed = ["error entrypoint-not-executable /lib64/ld-linux-x86-64.so.2"];
    expect(&amd64(vec![app(), plain], &["/app"]), &task(X86_64, ""), DoesNotRun, &closed);
    expect(&amd64(vec![app(), loader(ARM)], &["/app"]), &task(X86_64, ""), DoesNotRun, &foreign);
    let musl = exe("app", dynamic(X86, "/lib/ld-musl-x86_64.so.1", &[]));
    for (nodes, wanted) in [
        (vec![musl, loader(X86)], "it is linked with musl, but the image has glibc"),
        (vec![app(), exe("lib/ld-musl-x86_64.so.1", program(X86))], "linked with glibc, but the image has musl"),
        (vec![app()], "the image has no C library"),
    ] {
        let answer =
            expect(&amd64(nodes, &["/app"]), &task(X86_64, ""), DoesNotRun, &["error interpreter-missing /app"]);
        let message = &answer.targets[0].findings[0].message;
        assert!(message.contains(wanted) && message.contains("/app from layer 1 (sha256:"), "{message}");
    }
}

#[test]
fn libraries_are_followed_as_the_loader_does() {
    let glibc = "/lib64/ld-linux-x86-64.so.2";
    let library = |path: &str, machine, needed: &[&str]| {
        exe(path, Elf { interpreter: None, kind: elf::Kind::Shared, ..dynamic(machine, "", needed) })
    };
    let base = || vec![exe("app", dynamic(X86, glibc, &["liba.so"])), exe("lib64/ld-linux-x86-64.so.2", program(X86))];
    let with = |more: Vec<Node>| amd64(base().into_iter().chain(more).collect(), &["/app"]);
    let deep = vec![library("usr/lib/liba.so", X86, &["libb.so"]), library("usr/lib/libb.so", ARM, &[])];
    let wrong = ["error foreign-executable /usr/lib/libb.so"];
    let answer = expect(&with(deep), &task(X86_64, ""), DoesNotRun, &wrong);
    let message = &answer.targets[0].findings[0].message;
    assert!(message.contains("a library that /usr/lib/liba.so needs"), "{message}");
    // The loader passes over a file of another machine.
    let two = vec![library("lib64/liba.so", ARM, &[]), library("usr/lib/liba.so", X86, &[])];
    expect(&with(two), &task(X86_64, ""), Runs, &["warning foreign-executable /lib64/liba.so"]);
    let other = vec![library("lib64/liba.so", ARM, &[]), library("opt/x/liba.so", X86, &[])];
    let unsure = ["note library-missing /opt/x/liba.so", "warning foreign-executable /lib64/liba.so"];
    expect(&with(other), &task(X86_64, ""), Undetermined, &unsure);
    // What a library names as its loader, and 32-bit libraries beside 64-bit ones, are passed over.
    let named =
        vec![exe("usr/lib/liba.so", dynamic(X86, "/lib/none", &[])), library("lib/liba.so", Machine::I386, &[])];
    expect(&with(named), &task(X86_64, ""), Runs, &[]);
    let alone = with(vec![library("lib/liba.so", Machine::I386, &[])]);
    expect(&alone, &task(X86_64, ""), DoesNotRun, &["error foreign-executable /lib/liba.so"]);
    expect(&with(Vec::new()), &task(X86_64, ""), DoesNotRun, &["error library-missing /app"]);
    let mut app = dynamic(X86, glibc, &["libc.so"]);
    app.search_path = Some(b"$ORIGIN/../lib".as_slice().into());
    let origin = vec![
        exe("opt/bin/app", app),
        exe("lib64/ld-linux-x86-64.so.2", program(X86)),
        library("opt/lib/libc.so", ARM, &["libc.so"]),
    ];
    let wrong = ["error foreign-executable /opt/lib/libc.so"];
    expect(&amd64(origin, &["/opt/bin/app"]), &task(X86_64, ""), DoesNotRun, &wrong);
}

#[test]
fn a_program_that_asks_for_thousands_of_libraries_ends_the_search() {
    let names: Vec<String> = (0..4000).map(|n| format!("lib{n}.so")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let app = exe("app", dynamic(X86, "/lib64/ld-linux-x86-64.so.2", &names));
    let mut nodes = vec![app, exe("lib64/ld-linux-x86-64.so.2", program(X86))];
    nodes.extend((0..20_000).map(|n| file(&format!("data/{n}"), Head::Other)));
    let answer = judge(&amd64(nodes, &["/app"]), &task(X86_64, ""));
    let findings = &answer.targets[0].findings;
    assert_eq!((answer.verdict, findings.len()), (DoesNotRun, 65));
    assert!(findings[64].message.ends_with("too many of its libraries are not where the loader looks"));
}

#[test]
fn what_no_kernel_executes() {
    let mut plain = exe("app", program(X86));
    plain.mode = 0o644;
    let mut whole = program(X86);
    whole.truncated = true;
    let mut object = program(X86);
    object.kind = elf::Kind::Relocatable;
    for (nodes, wanted) in [
        (vec![file("app", Head::Other)], "neither an ELF file nor a script"),
        (vec![node("app", Kind::File { size: 0, head: Head::Other })], "is empty"),
        (vec![plain], "has mode 0644 and owner 0:0: no x bit"),
        (vec![folder("app")], "is a folder"),
        (vec![exe("app", whole)], "cut off"),
        (vec![exe("app", object)], "no program"),
        (vec![node("app", Kind::Special)], "no regular file"),
        (vec![script("app", "  ")], "names no interpreter"),
    ] {
        let answer =
            expect(&amd64(nodes, &["/app"]), &task(X86_64, ""), DoesNotRun, &["error entrypoint-not-executable /app"]);
        let message = &answer.targets[0].findings[0].message;
        assert!(message.contains(wanted), "{message}");
    }
}

#[test]
fn the_mode_is_judged_for_the_user_that_runs_it() {
    let owned = |mode: u16, uid: u32, gid: u32, user: &str| {
        let mut app = exe("app", program(X86));
        (app.mode, app.uid, app.gid) = (mode, uid, gid);
        let config = Config { user: user.into(), ..entry(&["/app"]) };
        index(vec![image(&Platform::linux_amd64(), vec![vec![app, file("etc/passwd", Head::Other)]], config)])
    };
    for (mode, uid, gid, user, verdict) in [
        (0o100, 5, 5, "", Runs),
        (0o700, 0, 0, "1000:1000", DoesNotRun),
        (0o700, 1000, 0, "1000", Runs),
        (0o070, 0, 1000, "1001:1000", Runs),
        (0o070, 0, 1000, "1001:1001", DoesNotRun),
        (0o070, 0, 1000, "1001", Undetermined),
        (0o655, 1000, 0, "1000", DoesNotRun),
        (0o700, 0, 0, "www-data", Undetermined),
    ] {
        let answer = judge(&owned(mode, uid, gid, user), &task(X86_64, ""));
        assert_eq!(answer.verdict, verdict, "{mode:o} {uid}:{gid} as {user:?}");
    }
    let answer = judge(&owned(0o700, 0, 0, ""), &task(X86_64, r#""user":"1000:1000""#));
    assert_eq!(answer.verdict, DoesNotRun);
}

#[test]
fn what_starts_must_be_there() {
    let nodes = || vec![exe("usr/bin/app", program(X86))];
    let layers = vec![nodes(), vec![node("usr/bin/app", Kind::Whiteout)]];
    let gone = index(vec![image(&Platform::linux_amd64(), layers, entry(&["/usr/bin/app"]))]);
    expect(&gone, &task(X86_64, ""), DoesNotRun, &["error entrypoint-not-found /usr/bin/app"]);
    let answer = expect(&amd64(nodes(), &[]), &task(X86_64, ""), DoesNotRun, &["error entrypoint-not-found"]);
    assert!(answer.targets[0].findings[0].message.starts_with("nothing starts"));
    expect(&amd64(nodes(), &["app"]), &task(X86_64, ""), Runs, &[]);
    let answer = expect(&amd64(nodes(), &["server"]), &task(X86_64, ""), DoesNotRun, &["error entrypoint-not-found"]);
    let message = &answer.targets[0].findings[0].message;
    assert!(message.contains("server is in no folder of PATH (/usr/local/sbin:"), "{message}");
    let dangling = vec![link("app", "/opt/nothing")];
    let answer =
        expect(&amd64(dangling, &["/app"]), &task(X86_64, ""), DoesNotRun, &["error entrypoint-not-found /app"]);
    assert!(answer.targets[0].findings[0].message.contains("is not there: /opt does not exist"));
}

/// Each byte of the first line that is no UTF-8 took two bytes from the text: `/bin/run` was `in/run`.
#[test]
fn the_text_of_a_script_begins_behind_its_first_line() {
    let of = |text: &[u8]| {
        let run = file("run", Head::Script(text.into()));
        amd64(vec![run, exe("bin/sh", program(X86)), exe("bin/run", program(X86))], &["/run"])
    };
    expect(&of(b"/bin/sh -\xff\n/bin/run\n"), &task(X86_64, ""), Runs, &[]);
    let wanted = ["error entrypoint-not-found srv/run"];
    let answer = expect(&of(b"/bin/sh -\xff\nsrv/run\n"), &task(X86_64, ""), DoesNotRun, &wanted);
    let message = &answer.targets[0].findings[0].message;
    assert!(
        message.starts_with("srv/run, relative to /, which /run starts, is not there: /srv does not exist"),
        "{message}"
    );
}

#[test]
fn a_script_is_looked_for_where_its_interpreter_does() {
    let names = ["python3", "node", "sh", "java", "perl", "ruby", "deno", "busybox"];
    let config = |words: &[&str]| Config { working_dir: "/app".into(), ..entry(words) };
    let image = |words: &[&str]| {
        let mut nodes: Vec<Node> = names.iter().map(|name| exe(&format!("bin/{name}"), program(X86))).collect();
        nodes.extend(
            ["app/main.py", "app/server.js", "app/run.sh", "app/app.jar", "app/lib/index.js"]
                .map(|path| file(path, Head::Other)),
        );
        index(vec![image(&Platform::linux_amd64(), vec![nodes], config(words))])
    };
    for (words, path, near) in [
        (&["python3", "mian.py"][..], "/app/mian.py", Some("/app/main.py")),
        (&["python3", "-u", "./Main.py"], "/app/Main.py", Some("/app/main.py")),
        (&["node", "serve.js"], "/app/serve.js", Some("/app/server.js")),
        (&["sh", "-e", "run.hs"], "/app/run.hs", Some("/app/run.sh")),
        (&["java", "-Xmx1g", "-jar", "ap.jar"], "/app/ap.jar", Some("/app/app.jar")),
        (&["perl", "x.pl"], "/app/x.pl", None),
        (&["sh", "--", "run.hs"], "/app/run.hs", Some("/app/run.sh")),
        (&["busybox", "sh", "/app/run.hs"], "/app/run.hs", Some("/app/run.sh")),
        (&["ruby", "/x.rb"], "/x.rb", None),
        (&["deno", "run", "-A", "main.ts"], "/app/main.ts", None),
    ] {
        let wrong = format!("error entrypoint-not-found {path}").to_lowercase();
        let answer = expect(&image(words), &task(X86_64, ""), DoesNotRun, &[&wrong]);
        let finding = &answer.targets[0].findings[0];
        assert!(finding.message.contains(&format!("{path} does not exist")), "{}", finding.message);
        let help = finding.help.as_deref().unwrap_or_default();
        match near {
            Some(near) => assert_eq!(help, format!("did you mean {near}?")),
            None => assert!(help.starts_with("name a file"), "{help}"),
        }
    }
    // No layer names /app or /app/lib itself.
    for words in [
        &["python3", "main.py"][..],
        &["node", "server"],
        &["sh", "run.sh"],
        &["java", "-jar", "app.jar"],
        &["node", "."],
        &["python3", "/app"],
        &["node", "lib"],
        &["node", "./lib/"],
    ] {
        expect(&image(words), &task(X86_64, ""), Runs, &[]);
    }
}

/// A word of megabytes was compared with each file of the folder.
#[test]
fn what_is_no_name_of_a_file_is_near_to_none() {
    let files = (0..20_000).map(|n| file(&format!("app/{n}"), Head::Other));
    let image = amd64(files.chain([exe("bin/python3", program(X86))]).collect(), &["python3"]);
    let long = format!(r#""entryPoint":["python3","/app/{}"]"#, "x".repeat(1 << 20));
    let answer = judge(&image, &task(X86_64, &long));
    assert_eq!(answer.verdict, DoesNotRun);
    let help = answer.targets[0].findings[0].help.as_deref().expect("help");
    assert!(help.starts_with("name a file that the image has"), "{help}");
}

#[test]
fn modules_of_another_machine_are_found_where_the_interpreter_looks() {
    let library = |path: &str, machine| exe(path, Elf { kind: elf::Kind::Shared, ..program(machine) });
    let image = |words: &[&str], modules: &[(&str, Machine)]| {
        let mut nodes = vec![exe("bin/python3", program(X86)), exe("bin/node", program(X86))];
        nodes.extend([file("srv/app/main.py", Head::Other), file("srv/app/server.js", Head::Other)]);
        nodes.push(script("srv/app/run", "/bin/python3"));
        nodes.extend(modules.iter().map(|(path, machine)| library(path, *machine)));
        let config = Config { env: vec!["PYTHONPATH=/opt/deps:/opt/more".into()], ..entry(words) };
        index(vec![image(&Platform::linux_amd64(), vec![nodes], config)])
    };
    let (python, node) = (["python3", "/srv/app/main.py"], ["node", "/srv/app/server.js"]);
    let libvips = |machine: &str| format!("srv/app/node_modules/@img/sharp-libvips-linux-{machine}/lib/libvips.so.42");
    let (arm64, x64) = (libvips("arm64"), libvips("x64"));
    for (words, path) in [
        (&python[..], "srv/app/_x.so"),
        (&python, "srv/app/pkg/_x.so"),
        (&python, "opt/deps/pkg/_x.so"),
        (&["/srv/app/run"], "srv/app/_x.so"),
        (&node, &x64),
    ] {
        let wrong = format!("warning foreign-executable /{path}");
        expect(&image(words, &[(path, ARM)]), &task(X86_64, ""), Undetermined, &[&wrong]);
        expect(&image(words, &[(path, X86)]), &task(X86_64, ""), Runs, &[]);
    }
    // What lies elsewhere is no module of Python's, and what lies beside the right one is none of Node's.
    let other = ["warning foreign-executable /srv/other/_x.so"];
    expect(&image(&python, &[("srv/other/_x.so", ARM)]), &task(X86_64, ""), Runs, &other);
    expect(&image(&node, &[(&arm64, ARM), (&x64, X86)]), &task(X86_64, ""), Runs, &[]);
    let serialport = |folder: &str| format!("srv/app/node_modules/s/prebuilds/{folder}.node");
    let names = ["android-arm/node.napi.armv7", "android-arm64/node.napi.armv8", "linux-arm/node.napi.armv6"];
    let others = names.map(serialport);
    let mut modules: Vec<(&str, Machine)> = others.iter().map(|path| (path.as_str(), ARM)).collect();
    let own = serialport("linux-x64/node.napi.glibc");
    modules.push((&own, X86));
    expect(&image(&node, &modules), &task(X86_64, ""), Runs, &[]);
}
