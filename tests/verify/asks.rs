//! What a task definition asks for beside the program: ports, sizes, references, and the other containers.

use std::collections::BTreeMap;

use dockless::ecs::json::parse;
use dockless::ecs::target::{Target, TargetOptions, select};
use dockless::image::inspect::Facts;
use dockless::layer::contents::{Head, Kind, Node};
use dockless::oci::config::Config;
use dockless::oci::platform::Platform;
use dockless::verify::finding::Rule;
use dockless::verify::finding::Verdict::{DoesNotRun, Runs};
use dockless::verify::rules::check_image;
use dockless::verify::sidecar::sidecars;

use crate::build::*;

fn app() -> Vec<Node> {
    vec![exe("app", program(X86)), exe("bin/sh", program(X86)), exe("usr/bin/wget", program(X86))]
}

fn exposing(ports: &[&str]) -> Facts {
    let exposed_ports = ports.iter().map(|port| ((*port).to_owned(), serde_json::Map::new())).collect();
    let config = Config { exposed_ports, ..entry(&["/app"]) };
    index(vec![image(&Platform::linux_amd64(), vec![app()], config)])
}

#[test]
fn mapped_ports_are_compared_with_exposed_ones() {
    let mapped = |ports: &str| task(X86_64, &format!("\"portMappings\":[{ports}]"));
    let (http, metrics) = (r#"{"containerPort":8080}"#, r#"{"containerPort":9090}"#);
    let both = format!("{http},{metrics}");
    for (exposed, ports, findings) in [
        (&["8080/tcp"][..], http, &[][..]),
        (&["8080"], http, &[]),
        (&["80/tcp"], http, &["warning port-not-exposed"]),
        (&["8080/tcp"], &both, &["note port-not-exposed"]),
        (&["8000-9000/tcp"], http, &[]),
        (&[], http, &[]),
        (&["80/tcp"], "", &[]),
        (&["80/tcp"], r#"{"containerPortRange":"70-90"}"#, &[]),
    ] {
        expect(&exposing(exposed), &mapped(ports), Runs, findings);
    }
    // Said of both platforms, it is said once.
    let facts = index(vec![
        exposing(&["80/tcp"]).images.remove(0),
        image(&Platform::linux_arm64(), vec![vec![exe("app", program(ARM))]], {
            exposing(&["80/tcp"]).images.remove(0).config.config
        }),
    ]);
    let open = task(r#""requiresCompatibilities":["EC2"]"#, &format!("\"portMappings\":[{http}]"));
    expect(&facts, &open, Runs, &["note architecture-not-stated", "warning port-not-exposed"]);
}

#[test]
fn a_health_check_needs_its_program() {
    let check = |words: &str| task(X86_64, &format!("\"healthCheck\":{{\"command\":[{words}]}}"));
    let missing = &["warning health-check-not-found"][..];
    let facts = exposing(&[]);
    for (words, findings) in [
        (r#""CMD-SHELL","wget -q localhost || exit 1""#, &[][..]),
        (r#""CMD-SHELL","curl -f localhost || exit 1""#, missing),
        (r#""CMD-SHELL","curl -f localhost || wget -q localhost || exit 1""#, &[]),
        (r#""CMD-SHELL","curl -f localhost; exit 0""#, &[]),
        (r#""CMD-SHELL","curl -f localhost || exit 0""#, &[]),
        (r#""CMD-SHELL","curl -f localhost | grep ok; exit 1""#, missing),
        (r#""CMD-SHELL","test -f /ready""#, &[]),
        (r#""CMD-SHELL","\"$CHECK\"""#, &[]),
        (r#""CMD","/app","--check""#, &[]),
        (r#""CMD","/check""#, missing),
        (r#""NONE""#, &[]),
    ] {
        expect(&facts, &check(words), Runs, findings);
    }
    let distroless = amd64(vec![exe("app", program(X86))], &["/app"]);
    let answer = expect(&distroless, &check(r#""CMD-SHELL","/app --check""#), Runs, missing);
    let finding = &answer.targets[0].findings[0];
    assert!(finding.message.contains("/bin/sh") && finding.location.is_some(), "{finding:?}");
}

#[test]
fn ecs_refuses_some_definitions() {
    let fargate = |fields: &str| format!("{FARGATE},{X86_64},{fields}");
    let ports = r#""portMappings":[{"containerPort":80,"hostPort":8080}]"#;
    let facts = exposing(&[]);
    let size = |cpu: &str, memory: &str| fargate(&format!("\"cpu\":\"{cpu}\",\"memory\":\"{memory}\""));
    for (fields, container, verdict, findings) in [
        (fargate(r#""networkMode":"awsvpc""#), "", Runs, &[][..]),
        (fargate(r#""networkMode":"bridge""#), "", DoesNotRun, &["error network-mode"]),
        (format!("{X86_64},\"networkMode\":\"bridge\""), ports, Runs, &[]),
        (format!("{X86_64},\"networkMode\":\"awsvpc\""), ports, DoesNotRun, &["error host-port-differs"]),
        (format!("{X86_64},\"networkMode\":\"host\""), ports, DoesNotRun, &["error host-port-differs"]),
        (size("256", "512"), "", Runs, &[]),
        (size("256", "2048"), "", Runs, &[]),
        (size(".25 vCPU", "1 GB"), "", Runs, &[]),
        (size("4 vCPU", "30GB"), "", Runs, &[]),
        (size("256", "4096"), "", DoesNotRun, &["error fargate-size"]),
        (size("1024", "1024"), "", DoesNotRun, &["error fargate-size"]),
        (size("1024", "2500"), "", DoesNotRun, &["error fargate-size"]),
        (size("300", "512"), "", DoesNotRun, &["error fargate-size"]),
        (size("32768", "262144"), "", Runs, &[]),
        (size("${CPU}", "512"), "", Runs, &[]),
        (format!("{X86_64},\"cpu\":\"300\",\"memory\":\"1\""), "", Runs, &[]),
    ] {
        expect(&facts, &task(&fields, container), verdict, findings);
    }
}

#[test]
fn the_image_must_fit_on_the_disk() {
    let sized = |gibibytes: u64| {
        let mut nodes = app();
        nodes.push(node("data", Kind::File { size: gibibytes << 30, head: Head::Other }));
        // Hidden by the next layer, it is unpacked all the same.
        let layers = vec![nodes, vec![node("data", Kind::Whiteout)]];
        let mut image = image(&Platform::linux_amd64(), layers, entry(&["/app"]));
        image.layers[0].size = 8 << 30;
        index(vec![image])
    };
    let large = r#","ephemeralStorage":{"sizeInGiB":40}"#;
    for (gibibytes, fields, verdict, findings) in [
        (10, "", Runs, &[][..]),
        (15, "", Runs, &["warning storage-too-small"]),
        (30, "", DoesNotRun, &["error storage-too-small"]),
        (30, large, Runs, &[]),
        (50, large, DoesNotRun, &["error storage-too-small"]),
    ] {
        expect(&sized(gibibytes), &task(&format!("{FARGATE},{X86_64}{fields}"), ""), verdict, findings);
    }
    expect(&sized(50), &task(X86_64, ""), Runs, &[]);
}

#[test]
fn references_are_compared_where_that_means_something() {
    const OURS: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:v1";
    let other = |text: &str| text.replace("sha256:4", "sha256:5");
    let digest = &IMAGE[IMAGE.find('@').expect("a digest")..];
    let named = |name: &str| Facts { name: name.into(), ..exposing(&[]) };
    let with = |image: &str| task(X86_64, "").replace(IMAGE, image);
    let ecr = |account: &str, region: &str, rest: &str| format!("{account}.dkr.ecr.{region}.amazonaws.com/{rest}");
    let tag = "note mutable-reference";
    for (name, image, findings) in [
        (OURS, ecr("123456789012", "eu-west-1", &format!("app{digest}")), vec![]),
        (OURS, ecr("123456789012", "eu-west-1", &format!("app{}", other(digest))), vec!["note digest-differs"]),
        (OURS, ecr("123456789012", "eu-west-1", "app:v1"), vec![tag]),
        // It is the tag of another image, most likely of the one before.
        (OURS, ecr("123456789012", "eu-west-1", "app:v0"), vec![]),
        (OURS, ecr("123456789012", "us-east-1", &format!("app{digest}")), vec!["warning region-differs"]),
        (OURS, ecr("123456789012", "eu-west-1", &format!("api{digest}")), vec!["warning repository-differs"]),
        (OURS, ecr("210987654321", "eu-west-1", &format!("app{digest}")), vec!["warning repository-differs"]),
        (OURS, "nginx".into(), vec![]),
        ("./oci", ecr("123456789012", "eu-west-1", "app:v1"), vec![]),
        (OURS, "{{ image }}".into(), vec![]),
        ("./oci", ecr("123456789012", "eu-west-1", &format!("api{digest}")), vec![]),
        ("oci", format!("oci{digest}"), vec![]),
        ("ghcr.io/a/b:1", format!("ghcr.io/a/c{digest}"), vec!["warning repository-differs"]),
        ("ghcr.io/a/b:1", format!("docker.io/a/c{digest}"), vec![]),
    ] {
        let wanted: Vec<&str> = findings;
        expect(&named(name), &with(&image), Runs, &wanted);
    }
    let logs = |region: &str, driver: &str| {
        let options = format!("{{\"awslogs-region\":\"{region}\"}}");
        let container = format!("\"logConfiguration\":{{\"logDriver\":\"{driver}\",\"options\":{options}}}");
        task(X86_64, &container).replace(IMAGE, &ecr("123456789012", "eu-west-1", &format!("app{digest}")))
    };
    expect(&named(OURS), &logs("eu-west-1", "awslogs"), Runs, &[]);
    expect(&named(OURS), &logs("eu-west-2", "awslogs"), Runs, &["note log-region-differs"]);
    expect(&named(OURS), &logs("eu-west-2", "splunk"), Runs, &[]);
}

#[test]
fn secrets_are_found_in_the_layer_that_has_them() {
    let key = |path: &str| file(path, Head::PrivateKey);
    let layers = vec![
        vec![exe("app", program(X86)), key("srv/tls/server.key"), key("usr/share/doc/x/key.pem")],
        vec![node("srv/tls/server.key", Kind::Whiteout), file("srv/.env", Head::Other)],
    ];
    let image = image(&Platform::linux_amd64(), layers, entry(&["/app"]));
    let below = image.layers[0].digest;
    let facts = index(vec![image]);
    let wanted = ["warning secret-in-image /srv/tls/server.key", "warning secret-in-image /srv/.env"];
    let answer = expect(&facts, &task(X86_64, ""), Runs, &wanted);
    let finding = &answer.findings[0];
    assert_eq!(finding.layer, Some(below));
    assert!(finding.message.ends_with("also where a later layer deletes or replaces it"), "{}", finding.message);
    assert_eq!(brief(&check_image(&facts)), wanted);
}

#[test]
fn all_images_of_a_task_need_its_platform() {
    let text = format!(
        "{{{ARM64},\"containerDefinitions\":[{{\"name\":\"app\",\"image\":\"a\"}},{{\"name\":\"log\",\"image\":\"b\"}},\
         {{\"name\":\"aside\",\"image\":\"c\",\"essential\":false}},{{\"name\":\"unseen\",\"image\":\"d\"}}]}}"
    );
    let target = |text: &str| -> Target {
        let definitions = parse("td.json", text).unwrap_or_else(|error| panic!("{error}"));
        select(definitions, &TargetOptions::default()).expect("targets").remove(0)
    };
    let amd64 = || vec![Platform::linux_amd64()];
    let both = vec![Platform::linux_amd64(), Platform::linux_arm64()];
    let platforms: BTreeMap<String, Vec<Platform>> =
        [("app", both), ("log", amd64()), ("aside", amd64())].map(|(name, has)| (name.to_owned(), has)).into();
    let findings = sidecars(&target(&text), &platforms);
    assert_eq!(brief(&findings), ["error sidecar-platform-missing", "warning sidecar-platform-missing"]);
    assert_eq!((findings[0].container.as_deref(), findings[0].found.as_deref()), (Some("log"), Some("linux/amd64")));
    assert_eq!(sidecars(&target(&text.replace("ARM64", "X86_64")), &platforms), []);
    assert_eq!(sidecars(&target(&text.replace(ARM64, "\"family\":\"f\"")), &platforms), []);
}

#[test]
fn every_page_says_how_to_allow() {
    for rule in Rule::ALL {
        assert!(rule.explain().contains(&format!("--allow {rule}")), "{rule}");
    }
}
