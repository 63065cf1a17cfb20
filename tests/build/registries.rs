//! Registries that are down, refuse, are busy, break, or are none: one message each, and the right repair.

use std::net::TcpListener;

use dockless::serve::fault::{Action, Fault};
use dockless::serve::route::Endpoint;
use hyper::Method;

use super::project::{Project, golden, without_digests};
use super::registry::{Parrot, Registry};

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}").into_bytes()
}

fn built() -> Project {
    let project = Project::programs();
    project.run(&["build", "-q"]).done();
    project
}

#[test]
fn what_a_registry_may_say_to_a_push() {
    let project = built();
    let refused = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"said the registry"}}]}}"#);
    let basic = "WWW-Authenticate: Basic realm=\"app\"\r\n";
    let answers = [
        answer("401 Unauthorized", basic, &refused("UNAUTHORIZED")),
        answer("401 Unauthorized", "", ""),
        answer("403 Forbidden", "", &refused("DENIED")),
        answer("404 Not Found", "", &refused("NAME_UNKNOWN")),
        answer("404 Not Found", "Content-Type: text/html\r\n", "<html><body>nginx</body></html>"),
        answer("200 OK", "Content-Type: text/html\r\n", "<html><body>Please log in</body></html>"),
    ];
    let shown = answers.into_iter().map(|answer| {
        let parrot = Parrot::new(answer);
        parrot.tame(&project.refused(&["push", "-q", "oci", &parrot.reference("team/app:v1")]))
    });
    // Which blob is asked for first is a matter of chance.
    golden("registry-push.txt", without_digests(&shown.collect::<Vec<_>>().join("\n")));
}

#[test]
fn what_a_registry_may_say_to_a_pull() {
    let project = Project::new();
    let document = "{\"schemaVersion\":2}";
    let answers = [
        answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"app\"\r\n", ""),
        answer("404 Not Found", "", r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"said the registry"}]}"#),
        answer("200 OK", "Content-Type: text/html\r\n", "<html><body>Please log in</body></html>"),
        answer("200 OK", "Content-Type: application/vnd.oci.image.index.v1+json\r\n", "{"),
        answer("200 OK", "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n", document),
    ];
    let shown = answers.into_iter().map(|answer| {
        let parrot = Parrot::new(answer);
        parrot.tame(&project.refused(&["inspect", &parrot.reference("team/app:v1")]))
    });
    golden("registry-pull.txt", shown.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_registry_that_is_down() {
    let project = built();
    let address = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    // Nobody has the port for the moment.
    let text = project.refused(&["push", "-q", "oci", &format!("{address}/app:v1")]);
    golden("registry-down.txt", text.replace(&address.to_string(), "127.0.0.1:[PORT]"));
}

#[test]
#[ignore = "takes as long as the pauses between six attempts, twice some ten seconds"]
fn a_registry_that_breaks_every_time() {
    let project = built();
    let parrot = Parrot::new(answer("500 Internal Server Error", "", "oops"));
    let text = project.refused(&["push", "-q", "oci", &parrot.reference("app:v1")]);
    assert_eq!(parrot.requests().len(), 6, "{:?}", parrot.requests());
    let ssh = Parrot::new("SSH-2.0-OpenSSH_9.9\r\n");
    let no_http = project.refused(&["push", "-q", "oci", &ssh.reference("app:v1")]);
    golden("registry-broken.txt", [parrot.tame(&text), ssh.tame(&no_http)].join("\n"));
}

#[test]
fn a_registry_that_breaks_once_or_is_busy() {
    let project = built();
    let busy = |status, retry_after| Action::Status { status, retry_after };
    for action in [busy(429, Some(1)), busy(500, None), Action::LoseAnswer] {
        let faults = vec![
            Fault::first(Method::HEAD, Endpoint::Manifest, action.clone()),
            Fault::first(Method::POST, Endpoint::Uploads, action.clone()),
            Fault::first(Method::PUT, Endpoint::Manifest, action),
        ];
        let registry = Registry::with(faults);
        let said = project.run(&["push", "oci", &registry.reference("app:v1")]).done();
        assert_eq!(registry.tags(), ["localhost/app:v1"]);
        // Nobody wonders what takes so long.
        assert!(said.stderr.contains("again"), "{said:#?}");
    }
}

#[test]
fn a_certificate_file_that_is_none() {
    let project = built();
    project.write("ca.pem", "not a certificate\n");
    let text = [
        project.refused(&["push", "oci", "localhost/app:v1", "--ca-file", "ca.pem"]),
        project.refused(&["push", "oci", "localhost/app:v1", "--ca-file", "missing.pem"]),
    ];
    golden("certificates.txt", text.join("\n"));
}
