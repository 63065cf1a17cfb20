//! A Rust binary, linked statically for both platforms.

use super::super::support::{find, run, say, tool};
use super::bases::Kind;
use super::{MACHINES, Story};

#[test]
fn a_rust_binary_serves() {
    let test = "a_rust_binary_serves";
    let Some(story) = Story::new(test, "worker", "cargo") else { return };
    let targets = find("rustup").map(|_| {
        let mut rustup = story.prepare(tool("rustup"));
        run(rustup.args(["target", "list", "--installed"])).text()
    });
    let missing = MACHINES.map(|machine| format!("{machine}-unknown-linux-musl"));
    let missing: Vec<_> =
        missing.iter().filter(|target| !targets.iter().any(|all| all.lines().any(|line| line == *target))).collect();
    if !missing.is_empty() {
        say(&format!("SKIPPED: {test}: rustup has no {missing:?}"));
        return;
    }

    story.base(Kind::Static, "distroless/static-debian12:latest");
    story.write(
        "Dockerfile",
        "FROM rust:1 AS build\n\
         WORKDIR /src\n\
         COPY . .\n\
         RUN cargo build --release --locked --bin worker\n\n\
         FROM gcr.io/distroless/static-debian12\n\
         COPY --from=build /src/target/release/worker /usr/local/bin/worker\n\
         USER 65532:65532\n\
         EXPOSE PORT\n\
         ENTRYPOINT [\"/usr/local/bin/worker\"]\n",
    );
    story.write("Cargo.toml", "[package]\nname = \"worker\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\n[workspace]\n");
    story.write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"worker\"\nversion = \"1.0.0\"\n");
    // The linker that every toolchain brings knows both machines.
    story.write(
        ".cargo/config.toml",
        &MACHINES.map(|machine| format!("[target.{machine}-unknown-linux-musl]\nlinker = \"rust-lld\"\n")).concat(),
    );
    story.write(
        "src/main.rs",
        "use std::io::{BufRead, BufReader, Write};\nuse std::net::TcpListener;\n\n\
         fn main() -> std::io::Result<()> {\n    \
         for stream in TcpListener::bind((\"0.0.0.0\", PORT))?.incoming() {\n        \
         let mut stream = stream?;\n        let mut line = String::new();\n        \
         BufReader::new(&stream).read_line(&mut line)?;\n        \
         let body = format!(\"Rust on {}\", std::env::consts::ARCH);\n        \
         write!(stream, \"HTTP/1.0 200 OK\\r\\nContent-Length: {}\\r\\n\\r\\n{body}\", body.len())?;\n    \
         }\n    Ok(())\n}\n",
    );
    story.dockless(&["init"]).ok();
    story.build();
    story.serves("/", "Rust on MACHINE", MACHINES);
}
