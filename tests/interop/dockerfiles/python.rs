//! pip and uv. Each project has a package of Python alone, and one with a library for each machine.

use super::super::support::{run, tool};
use super::Case;
use super::unpacked::Image;

const REQUIREMENTS: &str = "idna==3.10\nmarkupsafe==2.1.5\n";

/// The packages of [`REQUIREMENTS`] in a folder; the wheel with the library is for `tag`.
fn has_packages(image: &Image, folder: &str, tag: &str) {
    image.has(&format!("{folder}/idna/core.py"), "0644 0:0");
    image.has(&format!("{folder}/idna-3.10.dist-info/METADATA"), "0644 0:0");
    image.lacks(&format!("{folder}/idna/__pycache__")).lacks(&format!("{folder}/.lock"));
    image.says(&format!("{folder}/MarkupSafe-2.1.5.dist-info/WHEEL"), tag);
    let libraries = image.names(&format!("{folder}/markupsafe"));
    let libraries: Vec<_> = libraries.iter().filter(|name| name.starts_with("_speedups.cpython-")).collect();
    assert_eq!(libraries.len(), 1, "{libraries:?}");
    image.runs(&format!("{folder}/markupsafe/{}", libraries[0]));
}

#[test]
fn django_builds() {
    let Some(case) = Case::new("django", &["python3"]) else { return };
    case.base("library/python:3.10-slim", &["usr/local/lib/python3.10/site-packages/README.txt"]);
    case.write("requirements.txt", REQUIREMENTS);
    case.program("manage.py", "#!/usr/bin/env python3\nimport shop.settings\n");
    case.write("shop/__init__.py", "").write("shop/settings.py", "SECRET_KEY = 'of a test'\n");
    case.write("shop/wsgi.py", "application = None\n");
    for image in case.init(&[8, 17]).build_twice() {
        let packages = "/usr/local/lib/python3.10/site-packages";
        has_packages(&image, packages, "Tag: cp310-cp310-manylinux");
        image.has(&format!("{packages}/README.txt"), "0644 0:0");
        image.has("/app/manage.py", "0755 1001:1001").has("/app/shop/settings.py", "0644 1001:1001");
        image.has("/app/requirements.txt", "0644 1001:1001");
        image.lacks("/app/Dockerfile").lacks("/app/dockless.toml").lacks("/app/oci");
        image.config("User", "1001:1001").config("WorkingDir", "/app");
        image.variable("PYTHONUNBUFFERED=1").variable("PYTHONDONTWRITEBYTECODE=1");
    }
    case.done();
}

#[test]
fn fastapi_builds() {
    let Some(case) = Case::new("fastapi", &["uv", "python3"]) else { return };
    case.base("library/python:3.12-slim-bookworm", &[]);
    case.write(
        "pyproject.toml",
        "[project]\nname = \"quotes\"\nversion = \"1.0.0\"\nrequires-python = \">=3.9\"\n\
         dependencies = [\"idna==3.10\", \"markupsafe==2.1.5\"]\n\n[dependency-groups]\ndev = [\"iniconfig==2.0.0\"]\n",
    );
    case.write("app/__init__.py", "").write("app/main.py", "app = None\n");
    run(case.prepare(tool("uv")).args(["lock", "--quiet"])).ok();
    // What a developer's machine has there is for that machine.
    case.write(".venv/pyvenv.cfg", "home = /usr/bin\n").write(".venv/lib/python3.12/site-packages/here.py", "");
    for image in case.init(&[21]).build_twice() {
        let packages = "/app/.venv/lib/python3.12/site-packages";
        has_packages(&image, packages, "Tag: cp312-cp312-manylinux");
        image.lacks(&format!("{packages}/iniconfig")).lacks(&format!("{packages}/here.py"));
        image.lacks("/app/.venv/pyvenv.cfg");
        image.has("/app/app/main.py", "0644 0:0").has("/app/uv.lock", "0644 0:0");
        image.variable(&format!("PYTHONPATH={packages}"));
        image.variable("PATH=/app/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    }
    // A lock file that cannot be read must not make an image without packages.
    case.write("uv.lock", "no lock file\n");
    case.dockless(&["build", "-o", "broken"]).failed(2, &["uv.lock"]);
    case.done();
}

#[test]
fn python_venv_builds() {
    let Some(case) = Case::new("python-venv", &["python3"]) else { return };
    case.base("library/python:3.11-slim-bullseye", &[]);
    case.write("requirements/base.txt", "idna==3.10\n").write("requirements/prod.txt", "markupsafe==2.1.5\n");
    case.write("src/__init__.py", "").write("src/tasks.py", "app = None\n");
    case.write("docker/entrypoint.sh", "#!/bin/sh\nexec \"$@\"\n");
    for image in case.init(&[]).build_twice() {
        has_packages(&image, "/opt/venv/lib/python3.11/site-packages", "Tag: cp311-cp311-manylinux");
        image.has("/srv/src/tasks.py", "0644 10001:10001").has("/entrypoint.sh", "0755 0:0");
        image.lacks("/srv/requirements").config("User", "10001:10001");
    }
    case.done();
}

#[test]
fn wheels_build() {
    let Some(case) = Case::new("wheels", &["python3"]) else { return };
    case.base("library/python:3.9-alpine", &[]);
    case.write("requirements.txt", REQUIREMENTS).write("app.py", "app = None\n");
    for image in case.init(&[]).build_twice() {
        let packages = "/usr/local/lib/python3.9/site-packages";
        has_packages(&image, packages, "Tag: cp39-cp39-musllinux");
        image.has("/code/app.py", "0644 0:0").lacks("/wheels").variable("FLASK_APP=app.py");
    }
    case.done();
}
