//! What the runtime refuses before it executes anything.

use crate::case::{Case, app, case, expect_all, glibc, with, x86};
use crate::layers::{Item, bin, dir, sym};

fn srv() -> Vec<Item> {
    vec![bin("app", x86()), bin("srv/run", x86())]
}

fn folders() -> Vec<Case> {
    let refused = &["error process-refused"];
    vec![
        case("a relative working folder", srv(), &["/app"])
            .config(|config| config.working_dir = "srv".into())
            .fails(refused),
        case("a relative working folder of the container", srv(), &["/app"])
            .container(r#""workingDirectory":"srv""#)
            .fails(refused),
        case("a working folder that is a file", srv(), &["/app"])
            .container(r#""workingDirectory":"/srv/run""#)
            .fails(refused),
        case("a working folder below a file", srv(), &["/app"])
            .container(r#""workingDirectory":"/srv/run/x""#)
            .fails(refused),
        case("a working folder that is made", srv(), &["/app"]).container(r#""workingDirectory":"/data/x/""#),
        case("a working folder that no layer names", srv(), &["./run"]).container(r#""workingDirectory":"/srv/""#),
        case("a working folder behind a link", with(srv(), vec![sym("data", "srv")]), &["./run"])
            .container(r#""workingDirectory":"/data""#),
        case("a working folder in a volume", srv(), &["/app"])
            .container(r#""workingDirectory":"/srv/run","mountPoints":[{"sourceVolume":"v","containerPath":"/srv"}]"#),
        case("a working folder that is not known", srv(), &["/app"]).container(r#""workingDirectory":"{{ x }}""#),
    ]
}

fn names() -> Vec<Case> {
    let missing = &["error entrypoint-not-found"];
    vec![
        case("a slash behind the program", srv(), &["/srv/run/"]).fails(&["error entrypoint-not-found /srv/run/"]),
        case("a slash behind a link", with(srv(), vec![sym("x", "app")]), &["/x/"])
            .fails(&["error entrypoint-not-found /x/"]),
        case("a slash behind a folder", with(srv(), vec![dir("d")]), &["/d/"])
            .fails(&["error entrypoint-not-executable /d"]),
        case("an empty PATH", srv(), &["app"]).config(|config| config.env = vec!["PATH=".into()]).fails(missing),
        case("the working folder in PATH", srv(), &["app"])
            .config(|config| config.env = vec!["PATH=/usr/bin:.".into()])
            .fails(missing),
        case("an empty folder in PATH", srv(), &["app"])
            .config(|config| config.env = vec!["PATH=/usr/bin:".into()])
            .fails(missing),
        case("a relative folder in PATH, before the right one", srv(), &["run"])
            .config(|config| config.env = vec!["PATH=srv:/srv".into()])
            .fails(missing),
        case("a relative folder in PATH, behind the right one", srv(), &["run"])
            .config(|config| config.env = vec!["PATH=/srv:srv".into()]),
        case("env takes the working folder", with(glibc(), srv()), &["env", "app"])
            .config(|config| config.env = vec!["PATH=/usr/bin:".into()]),
    ]
}

fn users() -> Vec<Case> {
    let start = || vec![bin("app", x86())];
    let unknown = &["error process-refused /etc/passwd"];
    let passwd = || bin("etc/passwd", b"www:x:33:33::/:/bin/sh\n");
    vec![
        case("a user by name", start(), &["/app"]).config(|config| config.user = "www".into()).fails(unknown),
        case("a user by name, and users", with(start(), vec![passwd()]), &["/app"])
            .config(|config| config.user = "www".into()),
        case("a user by name, and no users in the file", with(start(), vec![bin("etc/passwd", b"")]), &["/app"])
            .config(|config| config.user = "www".into())
            .fails(unknown),
        case("a user by name of the container", start(), &["/app"]).container(r#""user":"www""#).fails(unknown),
        case("a user by number in place of the name", start(), &["/app"])
            .config(|config| config.user = "www".into())
            .container(r#""user":"1000:1000""#),
        case("a group by name", with(start(), vec![passwd()]), &["/app"])
            .config(|config| config.user = "1000:www".into())
            .fails(&["error process-refused /etc/group"]),
        case("root by name", start(), &["/app"])
            .config(|config| config.user = "root".into())
            .stays_open(&["note process-refused /etc/passwd"]),
        case("root by number", start(), &["/app"]).config(|config| config.user = "0:0".into()),
        case("a user that is not known", with(glibc(), vec![bin("app", app(&["libc.so.6"]))]), &["/app"])
            .container(r#""user":"{{ user }}""#),
    ]
}

#[test]
fn what_the_runtime_refuses_does_not_run() {
    expect_all(&[folders(), names(), users()].into_iter().flatten().collect::<Vec<_>>());
}
