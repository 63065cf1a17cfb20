//! `FastAPI` under uvicorn, with a base that is in the registry it is pushed to.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::support::{Registry, Request, skopeo};
use super::bases::Kind;
use super::{MACHINES, Story};

/// A document of the story's registry.
fn document(story: &Story, name: &str) -> Value {
    let told = skopeo(["inspect", "--raw", "--tls-verify=false", &story.registry.docker(name)]).ok();
    serde_json::from_slice(&told.stdout).expect("JSON")
}

/// The digests of the layers that a repository's image has, for all of its platforms.
fn layers(story: &Story, repository: &str, tag: &str) -> Vec<String> {
    let digests = |value: &Value| -> Vec<String> {
        let all = value.as_array().expect("descriptors").iter();
        all.map(|one| one["digest"].as_str().expect("a digest").to_owned()).collect()
    };
    let index = document(story, &format!("{repository}:{tag}"));
    let manifests = digests(&index["manifests"]);
    manifests.iter().flat_map(|digest| digests(&document(story, &format!("{repository}@{digest}"))["layers"])).collect()
}

/// Builds twice. Each layer of the base comes down once in all, and is mounted instead of sent.
fn build_twice(story: &Story, base: &[String]) {
    // In a query the colon of a digest is written in another way.
    let base: Vec<&str> = base.iter().map(|digest| digest.trim_start_matches("sha256:")).collect();
    let of_base = |request: &Request| base.iter().any(|digest| request.path.contains(digest));
    let build = || {
        let before = story.registry.requests().len();
        (story.build(), story.registry.requests().split_off(before))
    };

    let (first, requests) = build();
    for digest in &base {
        let fetched = |request: &&Request| request.method == "GET" && request.path.contains(digest);
        assert_eq!(requests.iter().filter(fetched).count(), 1, "{digest}: {requests:#?}");
        // 201 to the POST that names it is a mount; an upload would go on with a PATCH or a PUT.
        let asked: Vec<_> = requests.iter().filter(|one| one.sends_a_blob() && one.path.contains(digest)).collect();
        assert!(matches!(asked[..], [one] if one.method == "POST" && one.status == 201), "{digest}: {requests:#?}");
    }
    let uploads = requests.iter().filter(|one| one.method == "PUT" && one.path.contains("/blobs/"));
    let uploads: Vec<_> = uploads.filter_map(|one| one.path.rsplit("digest=").next()).collect();
    let distinct: BTreeSet<_> = uploads.iter().collect();
    // For each platform its packages and the configuration, and the service's files.
    assert!(distinct.len() >= 5 && distinct.len() == uploads.len(), "{requests:#?}");

    let (second, requests) = build();
    assert_eq!(second, first);
    assert!(!requests.is_empty());
    assert!(!requests.iter().any(|one| one.sends_a_blob() || one.method == "GET" && of_base(one)), "{requests:#?}");
}

#[test]
fn a_fastapi_service_serves() {
    let test = "a_fastapi_service_serves";
    // Somebody else's registry has a log, and says what it mounts.
    let Some(story) = Story::over(test, "quotes", "python3", Registry::docker_registry) else { return };
    story.base(Kind::Python, "python:3.11-slim");
    story.write(
        "Dockerfile",
        "FROM REGISTRY/python:3.11-slim\n\
         WORKDIR /srv\n\
         COPY requirements.txt ./\n\
         RUN pip install -r requirements.txt\n\
         COPY app ./app\n\
         USER 1000:1000\n\
         EXPOSE PORT\n\
         CMD [\"uvicorn\", \"app.main:app\", \"--host\", \"0.0.0.0\", \"--port\", \"PORT\"]\n",
    );
    // pydantic's core is a library of the machine's own.
    story.write("requirements.txt", "fastapi==0.115.12\nuvicorn==0.34.2\n");
    story.write("app/__init__.py", "");
    story.write(
        "app/main.py",
        "import platform\n\nfrom fastapi import FastAPI\nfrom pydantic import BaseModel\n\napp = FastAPI()\n\n\n\
         class Quote(BaseModel):\n    text: str\n    price: int\n\n\n\
         @app.get('/quote/{price}')\ndef quote(price: int) -> Quote:\n    \
         return Quote(text=f'FastAPI on {platform.machine()}', price=price)\n",
    );
    story.dockless(&["init"]).ok();
    build_twice(&story, &layers(&story, "python", "3.11-slim"));
    story.serves("/quote/7", r#"{"text":"FastAPI on MACHINE","price":7}"#, MACHINES);
}
