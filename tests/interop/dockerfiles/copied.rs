//! Dockerfiles that mostly copy, fetch and arrange files.

use std::fs;

use serde_json::json;

use super::super::support::{run, tool};
use super::{ARCHITECTURES, Case, elf};

/// Nobody has downloads.example.com: curl is a script that knows its two files.
#[test]
fn exporter_builds() {
    let Some(mut case) = Case::new("exporter", &[]) else { return };
    for (arch, machine) in ARCHITECTURES {
        let mut program = elf(machine);
        case.program(&format!("build/helper-{arch}"), &program);
        program.extend(b"exporter");
        fs::write(case.place.path("bin").join(format!("exporter-linux-{arch}")), program).expect("a file");
    }
    case.stand_in(
        "curl",
        "[ \"$1 $2\" = '-fsSL -o' ] && [ $# = 4 ] || fail \"unknown words: $*\"\n\
         base=https://downloads.example.com/exporter/1.4.0\n\
         case $4 in\n  $base/exporter-linux-amd64 | $base/exporter-linux-arm64) ;;\n  *) fail \"no such file: $4\" ;;\nesac\n\
         cat \"$(dirname \"$0\")/${4##*/}\" > \"$3\"\n",
    );
    case.base("library/alpine:3.20", &["etc/hostname"]);
    case.write("config.yml", "interval: 30s\n");
    for image in case.init(&[5]).build_twice() {
        // /bin is a link in the base, and stays one.
        image.leads("/bin", "usr/bin").runs("/usr/bin/exporter").has("/usr/bin/exporter", "0755 0:0");
        assert!(image.bytes("/usr/bin/exporter").ends_with(b"exporter"));
        image.runs("/usr/local/bin/helper").has("/usr/local/bin/helper", "0755 0:0");
        image.has("/etc/exporter", "0755 0:0").says("/etc/exporter/config.yml", "interval: 30s");
        image.has("/var/lib/exporter", "0755 2000:2000").has("/var/lib", "0755 0:0").has("/etc/hostname", "0644 0:0");
        image.config("User", "2000:2000").config("Volumes", json!({ "/var/lib/exporter": {} }));
    }
    case.done();
}

/// Packages of PHP are in no registry that is to be had: composer is a script that writes what loads them.
#[test]
fn laravel_builds() {
    let Some(mut case) = Case::new("laravel", &[]) else { return };
    case.stand_in(
        "composer",
        "[ \"$1 $3 $4 $5\" = 'install --no-dev --no-scripts --no-interaction' ] && [ $# = 5 ] || fail \"unknown words: $*\"\n\
         case $2 in --working-dir=/*) cd \"${2#*=}\" ;; *) fail \"unknown word: $2\" ;; esac\n\
         [ -f composer.json ] && [ -f composer.lock ] || fail \"no lock file in $PWD\"\n\
         mkdir -p vendor/composer && echo '<?php // of composer' > vendor/autoload.php && cp composer.lock vendor/composer/\n",
    );
    case.base("library/php:8.3-apache", &["etc/apache2/conf-available/charset.conf", "var/www/html/.keep"]);
    case.write("composer.json", "{\"name\": \"example/shop\"}\n").write("composer.lock", "{\"packages\": []}\n");
    case.program("artisan", "#!/usr/bin/env php\n").write("public/index.php", "<?php\n");
    case.write("storage/logs/.gitignore", "*\n").write("bootstrap/cache/.gitignore", "*\n");
    case.write("bootstrap/app.php", "<?php\n");
    for image in case.init(&[7]).build_twice() {
        let html = "/var/www/html";
        image.says(&format!("{html}/vendor/autoload.php"), "of composer");
        image.has(&format!("{html}/vendor/composer/composer.lock"), "0644 0:0");
        image.has(&format!("{html}/artisan"), "0755 0:0").has(&format!("{html}/.keep"), "0644 0:0");
        image
            .has(&format!("{html}/storage"), "0755 33:33")
            .has(&format!("{html}/storage/logs/.gitignore"), "0644 33:33");
        image.has(&format!("{html}/bootstrap/cache"), "0755 33:33").has(&format!("{html}/bootstrap"), "0755 0:0");
        image.has(&format!("{html}/bootstrap/app.php"), "0644 0:0").has(html, "0755 0:0");
        let conf = image.bytes("/etc/apache2/conf-available/app.conf");
        assert_eq!(conf, b"<Directory /var/www/html>\n  AllowOverride All\n</Directory>\n");
        image.has("/etc/apache2/conf-available/charset.conf", "0644 0:0");
    }
    case.done();
}

/// What `init` advises about the file that is removed is done, and then it is.
#[test]
fn nginx_static_builds() {
    let Some(case) = Case::new("nginx-static", &[]) else { return };
    case.base("library/nginx:1.27-alpine", &["etc/nginx/conf.d/default.conf", "usr/share/nginx/html/50x.html"]);
    case.write("nginx.conf", "server {}\n").write("public/index.html", "<title>A site</title>\n");
    case.write("public/css/site.css", "a {}\n");
    for image in case.init(&[3]).build_twice() {
        assert_eq!(image.names("/etc/nginx/conf.d"), ["default.conf", "site.conf"]);
        image.says("/etc/nginx/conf.d/site.conf", "server {}");
        assert_eq!(image.names("/usr/share/nginx/html"), ["50x.html", "css", "index.html"]);
        image.leads("/var/log/nginx/access.log", "/dev/stdout").leads("/var/log/nginx/error.log", "/dev/stderr");
        image.has("/var/log/nginx", "0755 0:0").config("StopSignal", "SIGQUIT");
        image.config("Labels", json!({ "maintainer": "web@example.com", "org.opencontainers.image.title": "site" }));
    }
    let recipe = fs::read_to_string(case.path("dockless.toml")).expect("a recipe");
    for advice in ["whiteouts/etc/nginx/conf.d/.wh.default.conf", "rootfs =\n# \"whiteouts\", owner = \"0:0\""] {
        assert!(recipe.contains(advice), "{recipe}");
    }
    case.write("whiteouts/etc/nginx/conf.d/.wh.default.conf", "");
    case.write("dockless.toml", recipe + "\n[[layer]]\nname = \"gone\"\nrootfs = \"whiteouts\"\nowner = \"0:0\"\n");
    for folder in ["image", "bundle"] {
        for (arch, _) in ARCHITECTURES {
            fs::remove_dir_all(case.place.path(&format!("{folder}-{arch}"))).expect("a folder");
        }
    }
    for image in case.build() {
        assert_eq!(image.names("/etc/nginx/conf.d"), ["site.conf"]);
    }
    case.done();
}

/// Nothing of this one but its files can be had without running the target.
#[test]
fn rails_builds() {
    let Some(case) = Case::new("rails", &[]) else { return };
    case.base("library/ruby:3.3-slim", &[]);
    case.write("Gemfile", "source 'https://gems.example.com'\n").write("Gemfile.lock", "PLATFORMS\n  ruby\n");
    case.program("bin/rails", "#!/usr/bin/env ruby\n").write("config/application.rb", "module Shop; end\n");
    for image in case.init(&[2, 5, 7, 8]).build_twice() {
        assert_eq!(image.names("/rails"), ["Gemfile", "Gemfile.lock", "bin", "config"]);
        image.has("/rails/bin/rails", "0755 0:0").has("/rails/config/application.rb", "0644 0:0");
        image.config("WorkingDir", "/rails").config("Cmd", json!(["./bin/rails", "server", "-b", "0.0.0.0"]));
    }
    case.done();
}

#[test]
fn scripts_build() {
    let Some(case) = Case::new("scripts", &["tar"]) else { return };
    case.base("library/debian:12", &[]);
    case.program("tools/run", "#!/bin/sh\n").write("tools/lib/list", "one\n");
    let words = ["--owner=1000", "--group=1000", "-C", "tools", "-czf", "tools.tar.gz", "run", "lib"];
    run(case.prepare(tool("tar")).args(words)).ok();
    fs::remove_dir_all(case.path("tools")).expect("a folder");
    for image in case.init(&[5, 15]).build_twice() {
        image.has("/data/in", "0755 0:0").has("/data/state", "0644 0:0");
        assert_eq!(image.bytes("/data/state"), b"ready\n");
        assert_eq!(image.names("/opt/tools"), ["lib", "run"]);
        image.has("/opt/tools/run", "0755 0:0").says("/opt/tools/lib/list", "one");
        image.config("User", "999:999").config("StopSignal", "2");
        image.config("Cmd", json!(["/bin/bash", "-o", "pipefail", "-c", "/opt/tools/run --all"]));
    }
    case.done();
}
