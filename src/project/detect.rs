//! A project without a Dockerfile: what the files of its tools say.

use super::draft::{Config, Draft, Item, Kind, Layer, Piece, Run};
use super::folder::Folder;
use super::init::Made;
use super::remark::{Remark, Weight};
use super::requirements;
use super::translate::built::SAME_BYTES;
use super::translate::node::{NEWER_NPM, NEWER_PNPM, OF_PNPM};
use super::translate::python::{OF_UV, fed};

/// The user that no image has an account for.
const USER: &str = "10001:10001";

/// Makes a recipe; none where nothing is known of the folder.
pub fn recipe(folder: &Folder) -> Option<Made> {
    let python = ["uv.lock", "pyproject.toml", "requirements.txt"].into_iter().find(|name| folder.has_file(name));
    let (from, mut draft, guess) = if folder.has_file("go.mod") {
        ("go.mod", go(folder), None)
    } else if folder.has_file("Cargo.toml") {
        ("Cargo.toml", rust(folder), None)
    } else if let Some(from) = python {
        let (draft, guess) = self::python(folder, from);
        (from, draft, guess)
    } else if folder.has_file("package.json") {
        let (draft, guess) = node(folder);
        ("package.json", draft, guess)
    } else {
        return None;
    };
    draft.head = vec![
        format!("Made by `dockless init` from {from}. Read it before you build: what starts the program is a guess."),
        "A `run` layer is a command on this machine that fills {out}; nothing of the image itself is ever run.".into(),
    ];
    draft.platforms = vec!["linux/amd64".into(), "linux/arm64".into()];
    draft.config.user = Some(USER.into());
    let remarks = guess.into_iter().map(|message| Remark {
        file: from.into(),
        line: 0,
        weight: Weight::Note,
        instruction: String::new(),
        message,
        help: Some("correct entrypoint and exposed-ports in the recipe".into()),
    });
    Some(Made { text: draft.text(), from: from.into(), remarks: remarks.collect() })
}

fn layer(name: &str, notes: &[&str], kind: Kind) -> Piece {
    Piece::Layer(Layer { notes: notes.iter().map(|note| (*note).to_owned()).collect(), name: name.into(), kind })
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn run(command: String, inputs: Vec<String>, dest: &str) -> Kind {
    Kind::Run(Run { command, inputs, dest: dest.into(), owner: None })
}

/// The project's own files, without what no image needs.
fn project(more: &[&str]) -> Kind {
    let never = ["/.git", "/dockless.toml", "/dockless.lock", "/oci", ".env", ".DS_Store"];
    let exclude = never.iter().chain(more).map(|name| (*name).to_owned()).collect();
    Kind::Copy(vec![Item { src: ".".into(), dest: "/app".into(), exclude, ..Item::default() }])
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A name that may stand in a command without quotes.
fn tame(name: &str) -> Option<&str> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (!name.is_empty() && name.len() < 100 && !name.starts_with(['-', '.']) && name.chars().all(good)).then_some(name)
}

fn go(folder: &Folder) -> Draft {
    let text = folder.text("go.mod").unwrap_or_default();
    let module = text.lines().find_map(|line| line.trim().strip_prefix("module ")).unwrap_or_default().trim();
    let major = |name: &str| name.strip_prefix('v').is_some_and(|rest| rest.parse::<u32>().is_ok());
    let name = module.rsplit('/').find(|name| !major(name)).and_then(tame).unwrap_or("app");
    let package = if !folder.has_file("main.go") && folder.has_folder(&format!("cmd/{name}")) {
        format!("./cmd/{name}")
    } else {
        ".".into()
    };
    let command = format!(
        "CGO_ENABLED=0 GOOS={{os}} GOARCH={{arch}} go build -trimpath -buildvcs=false -o {{out}}/{name} {package}"
    );
    Draft {
        base: "scratch".into(),
        base_notes: vec![
            "A static program needs nothing below it. For HTTPS to others it needs certificates: take \
             gcr.io/distroless/static-debian12 as base, or copy a ca-certificates.crt to /etc/ssl/certs/."
                .into(),
        ],
        config: Config { entrypoint: Some(words(&[&format!("/usr/bin/{name}")])), ..Config::default() },
        pieces: vec![layer(
            name,
            &[
                "Cross-compiled on this machine at each build; what has not changed comes from Go's own cache.",
                SAME_BYTES,
            ],
            run(command, Vec::new(), "/usr/bin"),
        )],
        ..Draft::default()
    }
}

fn rust(folder: &Folder) -> Draft {
    let table = folder.toml("Cargo.toml").unwrap_or_default();
    let name = table.get("package").and_then(|package| package.get("name")).and_then(|name| name.as_str());
    let bin =
        table.get("bin").and_then(|bins| bins.get(0)).and_then(|bin| bin.get("name")).and_then(|name| name.as_str());
    let name = bin.or(name).and_then(tame).unwrap_or("app");
    let locked = if folder.has_file("Cargo.lock") { " --locked" } else { "" };
    let command = format!(
        "cargo build --release{locked} --target {{machine}}-unknown-linux-musl\n\
         cp target/{{machine}}-unknown-linux-musl/release/{name} {{out}}/{name}\n"
    );
    Draft {
        base: "scratch".into(),
        base_notes: vec![
            "A static program needs nothing below it; certificates for HTTPS are a file or in the program (webpki-roots).".into(),
        ],
        config: Config { entrypoint: Some(words(&[&format!("/usr/bin/{name}")])), ..Config::default() },
        pieces: vec![layer(
            name,
            &["Cross-compiled on this machine, linked statically against musl: `rustup target add` the two targets. A crate that \
               compiles C needs a C compiler for them as well (cargo-zigbuild has one)."],
            run(command, Vec::new(), "/usr/bin"),
        )],
        ..Draft::default()
    }
}

/// The version of Python that the project asks for, two numbers.
fn python_version(folder: &Folder) -> String {
    let asked = folder.text(".python-version").or_else(|| {
        let project = folder.toml("pyproject.toml")?;
        Some(project.get("project")?.get("requires-python")?.as_str()?.to_owned())
    });
    let numbers: String = asked
        .unwrap_or_default()
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let mut parts = numbers.split('.').map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(3)), Some(Ok(minor))) if (8..30).contains(&minor) => format!("3.{minor}"),
        _ => "3.13".into(),
    }
}

fn python(folder: &Folder, from: &str) -> (Draft, Option<String>) {
    let version = python_version(folder);
    let dest = format!("/usr/local/lib/python{version}/site-packages");
    let uv = format!(
        "uv pip install --target {{out}} --python-platform {{machine}}-manylinux_2_28 --python-version {version} --only-binary :all:"
    );
    let (command, inputs): (String, Vec<String>) = match from {
        "uv.lock" => (
            fed("uv export --quiet --frozen --no-dev --no-hashes --no-emit-project", &format!("{uv} -r -")) + OF_UV,
            owned(&["uv.lock", "pyproject.toml"]),
        ),
        "pyproject.toml" => (format!("{uv} -r pyproject.toml{OF_UV}"), owned(&["pyproject.toml"])),
        // Why `-mpip` is one word: `translate::python::settle`.
        _ => (
            format!(
                "python3 -mpip install --no-compile --only-binary=:all: --platform manylinux_2_28_{{machine}} --platform \
                 manylinux2014_{{machine}} --python-version {version} --implementation cp --target {{out}} -r requirements.txt"
            ),
            requirements::files(folder, "requirements.txt").into_iter().collect(),
        ),
    };
    let text = ["uv.lock", "pyproject.toml", "requirements.txt"]
        .iter()
        .filter_map(|name| folder.text(name))
        .collect::<String>();
    let text = text.to_ascii_lowercase();
    let (entrypoint, port) = if folder.has_file("manage.py") {
        let name = wsgi(folder).unwrap_or_else(|| "config".into());
        (
            vec![
                "python3".into(),
                "-m".into(),
                "gunicorn".into(),
                format!("{name}.wsgi:application"),
                "--bind".into(),
                "0.0.0.0:8000".into(),
            ],
            true,
        )
    } else {
        let main = ["app/main.py", "src/main.py", "main.py", "app.py", "src/app.py"]
            .into_iter()
            .find(|name| folder.has_file(name));
        let module = main.map_or("main".to_owned(), |main| main.trim_end_matches(".py").replace('/', "."));
        let words: Vec<String> = if text.contains("uvicorn") || text.contains("fastapi") {
            ["python3", "-m", "uvicorn", &format!("{module}:app"), "--host", "0.0.0.0", "--port", "8000"]
                .map(str::to_owned)
                .into()
        } else if text.contains("gunicorn") {
            ["python3", "-m", "gunicorn", &format!("{module}:app"), "--bind", "0.0.0.0:8000"].map(str::to_owned).into()
        } else {
            vec!["python3".into(), main.unwrap_or("main.py").into()]
        };
        let port = words.len() > 2;
        (words, port)
    };
    let guess = format!("the program is started by `{}`, which is a guess", entrypoint.join(" "));
    let mut config = Config {
        entrypoint: Some(entrypoint),
        working_dir: Some("/app".into()),
        env: [("PYTHONUNBUFFERED".to_owned(), "1".to_owned())].into(),
        ..Config::default()
    };
    if port {
        config.ports.insert("8000/tcp".into());
    }
    let pieces = vec![
        layer(
            "dependencies",
            &[
                "Wheels for the target, chosen on this machine. A package without a wheel for it stops the build: build one on such a \
               machine, or take another version.",
            ],
            run(command, inputs, &dest),
        ),
        layer("app", &[], project(&[".venv", "venv", "**/__pycache__", "*.pyc", ".pytest_cache"])),
    ];
    (
        Draft {
            base: format!("public.ecr.aws/docker/library/python:{version}-slim"),
            config,
            pieces,
            ..Draft::default()
        },
        Some(guess),
    )
}

/// The package of a Django project's settings, by what `manage.py` says.
fn wsgi(folder: &Folder) -> Option<String> {
    let text = folder.text("manage.py")?;
    let (_, rest) = text.split_once("DJANGO_SETTINGS_MODULE")?;
    let quoted = rest.split(['"', '\'']).find(|part| part.contains(".settings"))?;
    tame(quoted.split(".settings").next()?).map(str::to_owned)
}

fn node(folder: &Folder) -> (Draft, Option<String>) {
    let package = folder.json("package.json").unwrap_or_default();
    let engine = package["engines"]["node"].as_str().unwrap_or_default();
    let digits: String = engine.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let version = digits.parse::<u32>().ok().filter(|version| (16..40).contains(version)).unwrap_or(22);
    let target = "--ignore-scripts --os={os} --cpu=\"$npm_config_cpu\" --libc=glibc";
    let (command, inputs): (String, &[&str]) = if folder.has_file("pnpm-lock.yaml") {
        let command = format!(
            "cp package.json pnpm-lock.yaml {{out}}/ && pnpm install --dir {{out}} --frozen-lockfile --prod {target} && {OF_PNPM}"
        );
        (command, &["package.json", "pnpm-lock.yaml"])
    } else if folder.has_file("yarn.lock") {
        let command = "cp package.json yarn.lock {out}/ && yarn install --cwd {out} --frozen-lockfile --production --ignore-scripts";
        (command.into(), &["package.json", "yarn.lock"])
    } else if folder.has_file("package-lock.json") {
        let command = format!("cp package.json package-lock.json {{out}}/ && cd {{out}} && npm ci --omit=dev {target}");
        (command, &["package.json", "package-lock.json"])
    } else {
        (format!("cp package.json {{out}}/ && cd {{out}} && npm install --omit=dev {target}"), &["package.json"])
    };
    let main = package["main"].as_str().unwrap_or_default();
    let start = package["scripts"]["start"].as_str().unwrap_or_default();
    let script = start.strip_prefix("node ").map(str::trim).filter(|script| !script.contains(char::is_whitespace));
    let found = ["server.js", "src/server.js", "src/index.js", "app.js"].into_iter().find(|name| folder.has_file(name));
    let script = script.or((!main.is_empty()).then_some(main)).or(found).unwrap_or("index.js");
    let entrypoint = vec!["node".to_owned(), script.to_owned()];
    let guess = format!(
        "the program is started by `{}`, which is a guess",
        super::remark::shortened(&entrypoint.join(" "), 80)
    );
    let newer = match command {
        _ if command.contains("yarn install") => None,
        _ if command.contains("pnpm install") => Some(NEWER_PNPM),
        _ => Some(NEWER_NPM),
    };
    let scripts = "The packages for the target's platform; their scripts do not run, so one that compiles itself needs a prebuilt binary.";
    let mut pieces = vec![layer(
        "dependencies",
        &[Some(scripts), newer].into_iter().flatten().collect::<Vec<_>>(),
        run(command, owned(inputs), "/app"),
    )];
    if package["scripts"]["build"].is_string() {
        pieces.push(Piece::Note(vec![
            "package.json has a script `build`: run it before the build (npm run build), or in a layer of its own, whose command copies \
             what it made into {out}."
                .into(),
        ]));
    }
    pieces.push(layer("app", &[], project(&["node_modules"])));
    let config = Config {
        entrypoint: Some(entrypoint),
        working_dir: Some("/app".into()),
        env: [("NODE_ENV".to_owned(), "production".to_owned())].into(),
        ports: ["3000/tcp".to_owned()].into(),
        ..Config::default()
    };
    (
        Draft {
            base: format!("public.ecr.aws/docker/library/node:{version}-slim"),
            config,
            pieces,
            ..Draft::default()
        },
        Some(guess),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::recipe::load::PROJECT_FILES;

    #[test]
    fn each_file_of_a_project_makes_a_recipe() {
        for name in PROJECT_FILES {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join(name), "").expect("a file");
            assert_eq!(recipe(&Folder::at(folder.path())).map(|made| made.from).as_deref(), Some(name));
        }
    }
}
