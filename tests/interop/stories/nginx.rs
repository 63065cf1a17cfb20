//! A site under nginx, on a root file system made of Debian's packages: no base at all.

use std::fs;

use super::super::support::{run, tool};
use super::Story;
use super::bases::{ARCHITECTURES, Kind};

#[test]
fn an_nginx_site_serves() {
    let Some(story) = Story::new("an_nginx_site_serves", "site", "debootstrap") else { return };
    story.write(
        "Dockerfile",
        "FROM debian:bookworm-slim\n\
         RUN apt-get update && apt-get install -y --no-install-recommends nginx-light\n\
         COPY site.conf /etc/nginx/conf.d/site.conf\n\
         COPY public /srv/site\n\
         CMD [\"nginx\", \"-g\", \"daemon off;\"]\n",
    );
    story.write("site.conf", "server {\n    listen PORT;\n    root /srv/site;\n    access_log /dev/stdout;\n}\n");
    story.write("public/index.html", "<title>A site</title>\n");
    for arch in ARCHITECTURES {
        story.write(&format!("build/{arch}.txt"), &format!("nginx for {arch}\n"));
    }

    // `init` says what cannot be done without running the target, and what to do instead.
    let told = story.dockless(&["init", "--strict"]);
    let told = told.failed(1, &["packages are installed by apt-get: nginx-light", "rootfs = \"rootfs-{arch}\""]);
    drop(told);
    for arch in ARCHITECTURES {
        let root = story.path(&format!("rootfs-{arch}"));
        run(tool("cp").arg("-a").arg(Kind::Nginx.root(arch)).arg(root)).ok();
    }
    fs::remove_file(story.path("Dockerfile")).expect("a file");
    story.write(
        "dockless.toml",
        r#"[image]
platforms = ["linux/amd64", "linux/arm64"]

[config]
cmd = ["nginx", "-g", "daemon off;"]
env = { PATH = "/usr/sbin:/usr/bin:/sbin:/bin" }
exposed-ports = ["PORT/tcp"]
stop-signal = "SIGQUIT"

[[layer]]
name = "root"
rootfs = "rootfs-{arch}"

[[layer]]
name = "site"
copy = [
  { src = "site.conf", dest = "/etc/nginx/conf.d/site.conf" },
  { src = "public", dest = "/srv/site" },
  { src = "build/{arch}.txt", dest = "/srv/site/build.txt" },
]
"#,
    );
    story.build();
    story.serves("/build.txt", "nginx for MACHINE", ARCHITECTURES);
}
