//! Go, Rust, Java and .NET.

use std::fs;

use super::super::support::{find, run, say, tool};
use super::{ARCHITECTURES, Case};

#[test]
fn go_builds() {
    let Some(case) = Case::new("go", &["go"]) else { return };
    case.base("distroless/static-debian12:nonroot", &[]);
    case.write("go.mod", "module example.com/api\n\ngo 1.18\n").write("go.sum", "");
    case.write("cmd/server/main.go", "package main\n\nfunc main() { println(\"hello\") }\n");
    case.write("migrations/0001.sql", "create table a (b int);\n");
    for image in case.init(&[]).build_twice() {
        image.runs("/server").has("/server", "0755 0:0").has("/migrations/0001.sql", "0644 0:0");
        image.lacks("/src").lacks("/out").lacks("/go.mod").config("User", "65532:65532");
        image.has("/tmp", "1777 0:0").has("/root", "0700 0:0");
    }
    case.done();
}

#[test]
fn rust_builds() {
    let Some(case) = Case::new("rust", &["cargo"]) else { return };
    let targets = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];
    let installed = find("rustup")
        .map_or_else(String::new, |_| run(case.prepare(tool("rustup")).args(["target", "list", "--installed"])).text());
    if !targets.iter().all(|target| installed.lines().any(|line| line == *target)) {
        say(&format!("SKIPPED: dockerfiles: rust: rustup has not both of {targets:?}"));
        return;
    }
    case.base("library/debian:bookworm-slim", &[]);
    case.write("Cargo.toml", "[package]\nname = \"api\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\n[workspace]\n");
    case.write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"api\"\nversion = \"1.0.0\"\n");
    // The linker that every toolchain brings knows both machines.
    let linker = targets.map(|target| format!("[target.{target}]\nlinker = \"rust-lld\"\n"));
    case.write(".cargo/config.toml", linker.concat()).write("config/base.toml", "port = 8080\n");
    case.write("src/main.rs", "fn main() {\n    println!(\"hello\");\n}\n");
    for image in case.init(&[16]).build_twice() {
        image.runs("/usr/local/bin/api").has("/usr/local/bin/api", "0755 0:0");
        image.has("/app/config/base.toml", "0644 0:0").lacks("/app/target").lacks("/app/src");
        image.variable("APP_ENVIRONMENT=production").config("WorkingDir", "/app");
    }
    case.done();
}

/// The wrapper of a real project fetches Maven; this one takes the machine's. Without one it makes the jar's file
/// itself.
#[test]
fn spring_builds() {
    let Some(mut case) = Case::new("spring", &[]) else { return };
    case.base("library/eclipse-temurin:21-jre", &[]);
    case.write(
        "pom.xml",
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  <modelVersion>4.0.0</modelVersion>\n  \
         <groupId>com.example</groupId>\n  <artifactId>orders</artifactId>\n  <version>1.0</version>\n  <properties>\n    \
         <maven.compiler.source>11</maven.compiler.source>\n    <maven.compiler.target>11</maven.compiler.target>\n    \
         <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>\n  </properties>\n</project>\n",
    );
    case.write("src/main/java/Orders.java", "class Orders {\n    public static void main(String[] args) {}\n}\n");
    case.write(".mvn/jvm.config", "-Xmx256m\n");
    if find("mvn").is_some() && find("javac").is_some() {
        case.program("mvnw", "#!/bin/sh\nexec mvn \"$@\"\n");
        // As the Dockerfile's own line before it: what is fetched is fetched once, and not by two at a time.
        run(case.prepare(tool("mvn")).args(["-q", "-B", "package", "-DskipTests"])).ok();
        fs::remove_dir_all(case.path("target")).expect("a folder");
    } else {
        case.stands_in("mvn");
        case.program(
            "mvnw",
            "#!/bin/sh\nset -eu\n[ \"$*\" = '-B package -DskipTests' ] && [ -f pom.xml ] && [ -f src/main/java/Orders.java ]\n\
             mkdir target && printf 'PK\\003\\004Orders.class' > target/orders-1.0.jar\n",
        );
    }
    for image in case.init(&[]).build() {
        image.has("/app.jar", "0644 0:0").lacks("/workspace").lacks("/target");
        let jar = image.bytes("/app.jar");
        assert_eq!(&jar[..4], b"PK\x03\x04");
        assert!(jar.windows(12).any(|bytes| bytes == b"Orders.class"), "{} bytes", jar.len());
        image.has("/tmp", "1777 0:0");
        image.variable("JAVA_OPTS=-XX:MaxRAMPercentage=75");
    }
    // The folder of the project is nobody's to build in: the platforms are built side by side.
    assert!(!case.path("target").exists());
    case.done();
}

/// No package registry has the .NET SDK.
#[test]
fn dotnet_builds() {
    let Some(mut case) = Case::new("dotnet", &[]) else { return };
    case.stand_in(
        "dotnet",
        "[ \"$1 $2 $3 $4\" = 'publish -c Release --output' ] && [ $# = 5 ] || fail \"unknown words: $*\"\n\
         [ -f Web.csproj ] && [ -f ../../Shop.sln ] || fail \"no project in $PWD\"\n\
         mkdir -p obj \"$5/wwwroot\" \"$5/runtimes/linux-x64/native\" \"$5/runtimes/linux-arm64/native\"\n\
         cat Program.cs > \"$5/Web.dll\"\necho '{}' > \"$5/Web.runtimeconfig.json\"\ncp -R wwwroot/. \"$5/wwwroot/\"\n\
         for arch in amd64 arm64; do\n  \
         cp ../../native-$arch \"$5/runtimes/linux-$(echo $arch | sed s/amd64/x64/)/native/libdb.so\"\ndone\n",
    );
    case.base("dotnet/aspnet:8.0", &["etc/ssl/certs/ca.crt"]);
    case.write("Shop.sln", "\n").write("src/Web/Web.csproj", "<Project Sdk=\"Microsoft.NET.Sdk.Web\" />\n");
    case.write("src/Web/Program.cs", "// the program\n").write("src/Web/wwwroot/site.css", "a {}\n");
    for (arch, machine) in ARCHITECTURES {
        case.write(&format!("native-{arch}"), super::elf(machine));
    }
    for image in case.init(&[]).build_twice() {
        image.says("/app/Web.dll", "// the program").has("/app/Web.dll", "0644 0:0");
        image.has("/app/Web.runtimeconfig.json", "0644 0:0").has("/app/wwwroot/site.css", "0644 0:0");
        let runtime = if image.arch == "amd64" { "linux-x64" } else { "linux-arm64" };
        image.runs(&format!("/app/runtimes/{runtime}/native/libdb.so")).lacks("/app/src").lacks("/source");
        image.config("User", "app").config("WorkingDir", "/app");
    }
    assert!(!case.path("src/Web/obj").exists());
    case.done();
}
