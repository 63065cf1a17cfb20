//! Django under gunicorn: the README's own story, as it is written there.

use super::bases::Kind;
use super::{MACHINES, Story};

const README: &str = include_str!("../../../README.md");

/// What stands in the first block of a language, after a heading.
fn block(heading: &str, language: &str) -> String {
    let (_, text) = README.split_once(&format!("\n{heading}\n")).expect("a heading");
    let (_, text) = text.split_once(&format!("\n```{language}\n")).expect("a block");
    text.split_once("```").expect("its end").0.to_owned()
}

#[test]
fn a_django_service_serves() {
    let Some(story) = Story::new("a_django_service_serves", "shop", "python3") else { return };
    story.base(Kind::Python, "library/python:3.11-slim");
    let dockerfile = block("### From a Dockerfile", "dockerfile");
    assert_eq!(dockerfile.matches("8000").count(), 2, "{dockerfile}");
    // The port is the machine's here, where others may have that one.
    story.write("Dockerfile", &dockerfile.replace("8000", "PORT"));
    story.write("requirements.txt", "django==5.2.1\ngunicorn==23.0.0\n");
    story.write("shop/__init__.py", "");
    story.write(
        "shop/settings.py",
        "ALLOWED_HOSTS = ['localhost']\nROOT_URLCONF = 'shop.urls'\nSECRET_KEY = 'of a test'\n\
         WSGI_APPLICATION = 'shop.wsgi.application'\n",
    );
    story.write(
        "shop/wsgi.py",
        "import os\n\nfrom django.core.wsgi import get_wsgi_application\n\n\
         os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\napplication = get_wsgi_application()\n",
    );
    story.write(
        "shop/urls.py",
        "import os\nimport platform\n\nfrom django.http import HttpResponse\nfrom django.urls import path\n\n\n\
         def hello(request):\n    \
         return HttpResponse(f'Django on {platform.machine()} in {os.getcwd()} as {os.getuid()}')\n\n\n\
         urlpatterns = [path('hello/', hello)]\n",
    );
    let session = block("### From a Dockerfile", "console");
    let commands: Vec<_> = session.lines().filter_map(|line| line.strip_prefix("$ dockless ")).collect();
    assert_eq!(commands.len(), 2, "{session}");
    let mut told = commands.iter().map(|words| story.dockless(&words.split(' ').collect::<Vec<_>>()).ok());
    let init = told.next().expect("the first");
    let remark = session.lines().find(|line| line.starts_with("Dockerfile:")).expect("a remark");
    assert!(init.stderr.lines().any(|line| line == remark), "{init}");
    assert_eq!(init.line(), "dockless.toml");
    let built = told.next().expect("the second");
    assert!(built.line().starts_with("registry.example.com/team/shop@sha256:"), "{built}");
    story.serves("/hello/", "Django on MACHINE in /app as 10001", MACHINES);
}
