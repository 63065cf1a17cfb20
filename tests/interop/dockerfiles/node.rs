//! npm, yarn and pnpm. The lock files are made by the tools themselves, as whoever has such a Dockerfile has them.

use std::env;
use std::fs;

use super::super::support::{run, tool};
use super::Case;

const SUMS: &str = r#"{"name":"sums","version":"1.0.0","private":true,"dependencies":{"ms":"2.1.3","@node-rs/crc32":"1.10.6"},
    "devDependencies":{"isarray":"2.0.5"}}"#;

/// pnpm does not read npm's settings for everyone: where the machine has certificates of its own, the project names
/// them.
fn trusts_the_registry(case: &Case) {
    if let Ok(file) = env::var("NODE_EXTRA_CA_CERTS") {
        case.write(".npmrc", format!("cafile={file}\n"));
    }
}

#[test]
fn node_builds() {
    let Some(case) = Case::new("node", &["npm"]) else { return };
    case.base("library/node:20-alpine", &[]);
    case.write("package.json", SUMS);
    case.write("server.js", "require('ms');\n");
    run(case.prepare(tool("npm")).args(["install", "--package-lock-only"])).ok();
    // What a developer's machine has there is for that machine.
    case.write("node_modules/here/index.js", "");
    for image in case.init(&[]).build_twice() {
        let modules = "/usr/src/app/node_modules";
        let cpu = if image.arch == "amd64" { "x64" } else { image.arch };
        // For Alpine, and for nothing else.
        assert_eq!(image.names(&format!("{modules}/@node-rs")), ["crc32", &format!("crc32-linux-{cpu}-musl")]);
        image.runs(&format!("{modules}/@node-rs/crc32-linux-{cpu}-musl/crc32.linux-{cpu}-musl.node"));
        image.has(&format!("{modules}/ms/index.js"), "0644 0:0");
        image.lacks(&format!("{modules}/isarray")).lacks(&format!("{modules}/here"));
        image.has("/usr/src/app/server.js", "0644 0:0").has("/usr/src/app/package-lock.json", "0644 0:0");
        image.config("User", "node").variable("NODE_ENV=production");
    }
    case.done();
}

/// Next.js itself is a hundred megabytes: a script of the project's writes what it would.
#[test]
fn next_builds() {
    let Some(mut case) = Case::new("next", &["node", "pnpm"]) else { return };
    case.stands_in("next build");
    case.base("library/node:20-slim", &[]);
    case.write(
        "package.json",
        r#"{"name":"site","version":"1.0.0","private":true,"scripts":{"build":"node build.js"},
            "dependencies":{"ms":"2.1.3"},"devDependencies":{"isarray":"2.0.5"}}"#,
    );
    case.write(
        "build.js",
        "const fs = require('fs');\nrequire('isarray');\nconst out = '.next/standalone';\n\
         fs.mkdirSync(`${out}/.next`, { recursive: true });\nfs.mkdirSync('.next/static/chunks', { recursive: true });\n\
         fs.cpSync('node_modules/ms', `${out}/node_modules/ms`, { recursive: true, dereference: true });\n\
         fs.writeFileSync(`${out}/server.js`, 'console.log(require(\"ms\")(1000));\\n');\n\
         fs.writeFileSync(`${out}/.next/BUILD_ID`, 'one\\n');\n\
         fs.writeFileSync('.next/static/chunks/main.js', '// main\\n');\n",
    );
    case.write("public/robots.txt", "User-agent: *\n");
    trusts_the_registry(&case);
    run(case.prepare(tool("pnpm")).args(["install", "--lockfile-only"])).ok();
    for image in case.init(&[]).build_twice() {
        image.has("/app/public/robots.txt", "0644 0:0");
        image.has("/app/.next", "0755 1001:1001").has("/app/server.js", "0644 1001:1001");
        image.has("/app/.next/BUILD_ID", "0644 1001:1001").has("/app/.next/static/chunks/main.js", "0644 1001:1001");
        image.has("/app/node_modules/ms/index.js", "0644 1001:1001");
        image.lacks("/app/node_modules/isarray").lacks("/app/package.json").lacks("/app/build.js");
        image.config("User", "1001:1001").variable("HOSTNAME=0.0.0.0").variable("PORT=3000");
    }
    case.done();
}

#[test]
fn react_nginx_builds() {
    let Some(case) = Case::new("react-nginx", &["node", "yarn"]) else { return };
    case.base("library/nginx:stable", &["etc/nginx/nginx.conf", "usr/share/nginx/html/index.html"]);
    case.write(
        "package.json",
        r#"{"name":"site","version":"1.0.0","private":true,"scripts":{"build":"node build.js"},
            "devDependencies":{"ms":"2.1.3"}}"#,
    );
    case.write(
        "build.js",
        "const fs = require('fs');\nfs.mkdirSync('dist/assets', { recursive: true });\n\
         fs.writeFileSync('dist/index.html', `<title>${require('ms')(60000)}</title>\\n`);\n\
         fs.writeFileSync('dist/assets/index.js', `fetch('${process.env.VITE_API_URL}');\\n`);\n",
    );
    case.write("docker/nginx.conf", "events {}\n");
    run(case.prepare(tool("yarn")).args(["install", "--ignore-scripts", "--silent"])).ok();
    fs::remove_dir_all(case.path("node_modules")).expect("a folder");
    for image in case.init(&[]).build_twice() {
        let html = "/usr/share/nginx/html";
        assert_eq!(image.names(html), ["assets", "index.html"]);
        image.says(&format!("{html}/index.html"), "<title>1m</title>");
        image.says(&format!("{html}/assets/index.js"), "fetch('https://api.example.com')");
        image.has(html, "0755 0:0").has(&format!("{html}/assets/index.js"), "0644 0:0");
        image.says("/etc/nginx/nginx.conf", "events {}").has("/etc/nginx/nginx.conf", "0644 0:0");
        image.lacks("/app");
    }
    case.done();
}

/// pnpm writes the time and folders of this machine beside the packages.
#[test]
fn a_layer_of_pnpm_is_the_same_each_time() {
    let Some(case) = Case::empty("a layer of pnpm", &["node", "pnpm"]) else { return };
    case.base("library/node:20-slim", &[]);
    case.write("package.json", SUMS);
    trusts_the_registry(&case);
    run(case.prepare(tool("pnpm")).args(["install", "--lockfile-only"])).ok();
    case.write(
        "Dockerfile",
        "FROM node:20-slim\nWORKDIR /app\nCOPY package.json pnpm-lock.yaml ./\n\
         RUN pnpm install --frozen-lockfile --prod\nCMD [\"node\", \"server.js\"]\n",
    );
    case.dockless(&["init"]).ok();
    for image in case.build_twice() {
        let modules = "/app/node_modules";
        let cpu = if image.arch == "amd64" { "x64" } else { image.arch };
        let library = format!("crc32-linux-{cpu}-gnu");
        let packages = image.names(&format!("{modules}/.pnpm"));
        let libraries: Vec<_> = packages.iter().filter(|name| name.contains("crc32-")).collect();
        assert_eq!(libraries, [&format!("@node-rs+{library}@1.10.6")]);
        image.runs(&format!(
            "{modules}/.pnpm/{}/node_modules/@node-rs/{library}/crc32.linux-{cpu}-gnu.node",
            libraries[0]
        ));
        image.has(&format!("{modules}/ms/index.js"), "0644 0:0").lacks(&format!("{modules}/isarray"));
    }
    case.done();
}

/// Below a prefix npm looks for other settings than the ones that the machine has for everyone.
#[test]
fn a_program_of_npm_is_installed_by_the_settings_for_everyone() {
    let Some(case) = Case::empty("a program of npm", &["npm"]) else { return };
    case.base("library/node:20-slim", &[]);
    case.write("Dockerfile", "FROM node:20-slim\nRUN npm install -g semver@7.6.3\nCMD [\"semver\", \"1.0\"]\n");
    case.dockless(&["init"]).ok();
    for image in case.build_twice() {
        image.leads("/usr/local/bin/semver", "../lib/node_modules/semver/bin/semver.js");
        image.has("/usr/local/lib/node_modules/semver/bin/semver.js", "0755 0:0");
    }
    let told = run(case.prepare(tool("npm")).args(["config", "get", "userconfig"])).ok();
    let own = fs::read_to_string(told.line()).unwrap_or_default();
    let prefix = case.place.text("everyone");
    case.write("../home/.npmrc", format!("{own}\nprefix={prefix}\n"));
    // Nobody listens there.
    case.write("../everyone/etc/npmrc", "registry=http://127.0.0.1:9/\nfetch-retries=0\n");
    let recipe = fs::read_to_string(case.path("dockless.toml")).expect("a recipe");
    let home = case.place.text("home");
    case.write(
        "dockless.toml",
        recipe.replace("dest = \"/usr/local\"", &format!("dest = \"/usr/local\"\nenv = {{ HOME = \"{home}\" }}")),
    );
    case.dockless(&["build", "-o", "elsewhere"]).failed(2, &["127.0.0.1:9"]);
    case.done();
}
