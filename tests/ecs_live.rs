//! Task definitions as ECS has them, from a server that speaks its JSON 1.1 as ECS does.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use dockless::ecs::live::{LiveError, LiveSource, load};
use dockless::ecs::sources::Loaded;
use dockless::ecs::target::TargetOptions;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// An answer: the status, and the document.
type Answer = (u16, Value);

/// A server that answers the action of `X-Amz-Target` and its input, and how often it was asked.
async fn ecs<A>(answer: A) -> (SdkConfig, Arc<AtomicUsize>)
where
    A: Fn(&str, &Value) -> Answer + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (answer, asked) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (answer, count) = (Arc::clone(&answer), Arc::clone(&count));
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let (answer, count) = (Arc::clone(&answer), Arc::clone(&count));
                    async move {
                        count.fetch_add(1, Ordering::Relaxed);
                        let action = request.headers()["x-amz-target"].to_str().expect("text").to_owned();
                        let action = action.rsplit('.').next().unwrap_or_default().to_owned();
                        let body = request.into_body().collect().await.expect("a body").to_bytes();
                        let (status, document) = answer(&action, &serde_json::from_slice(&body).expect("JSON"));
                        let body = Full::new(Bytes::from(document.to_string()));
                        let response =
                            Response::builder().status(status).header("content-type", "application/x-amz-json-1.1");
                        Ok::<_, Infallible>(response.body(body).expect("a response"))
                    }
                });
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (config(&url), asked)
}

fn config(url: &str) -> SdkConfig {
    let credentials = Credentials::new("AKIDEXAMPLE", "not-a-real-key", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(url)
        .build()
}

async fn ask(config: &SdkConfig, source: &str) -> Result<Loaded, LiveError> {
    let source = LiveSource::parse(source).expect("live").expect("well formed");
    load(config, &source, &TargetOptions::default()).await
}

fn error(name: &str, message: &str) -> Answer {
    (400, json!({ "__type": name, "message": message }))
}

fn app(more: &Value) -> Answer {
    let mut definition = json!({
        "family": "app", "revision": 42, "status": "ACTIVE", "networkMode": "awsvpc",
        "taskDefinitionArn": "arn:aws:ecs:eu-central-1:123456789012:task-definition/app:42",
        "compatibilities": ["EC2", "FARGATE"],
        "containerDefinitions": [{
            "name": "web", "image": "example.com/app:v1", "essential": true, "command": ["serve"], "cpu": 0,
            "portMappings": [{"containerPort": 8080, "hostPort": 8080}, {"containerPortRange": "9000-9010"}],
            "environment": [{"name": "TOKEN", "value": "hunter2"}, {"name": "PATH", "value": "/app/bin"}],
            "secrets": [{"name": "KEY", "valueFrom": "arn:aws:ssm:eu-central-1:123456789012:parameter/key"}],
            "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}], "volumesFrom": []
        }]
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        definition[key] = value.clone();
    }
    (200, json!({ "taskDefinition": definition }))
}

#[tokio::test]
async fn a_task_definition_is_read_as_it_is_printed() {
    let (config, _) = ecs(|action, input| {
        assert_eq!((action, &input["taskDefinition"]), ("DescribeTaskDefinition", &json!("app")));
        app(&json!({"requiresCompatibilities": ["FARGATE"], "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}}))
    })
    .await;
    let loaded = ask(&config, "ecs:app").await.expect("a target");
    let target = serde_json::to_value(loaded.targets[0].json()).expect("JSON");
    assert_eq!((target["id"].as_str(), target["platform"].as_str()), (Some("app"), Some("linux/arm64")));
    assert_eq!(
        target["containers"],
        json!([{"name": "web", "image": "example.com/app:v1", "ports": [8080, "9000-9010"]}])
    );
    let definition = &loaded.targets[0].definition;
    let at = definition.architecture.location().expect("a place");
    assert_eq!(&*at.file, "ecs:app:42");
    assert_eq!(&loaded.sources["ecs:app:42"][at.span.clone()], "\"ARM64\"");
    let container = &definition.containers[0];
    assert_eq!(container.environment, ["TOKEN", "PATH", "KEY"]);
    assert_eq!((container.path.value().map(|path| path.0.as_str()), container.mounts.len()), (Some("/app/bin"), 1));
    let kept = format!("{loaded:?}");
    assert!(!kept.contains("hunter2") && !kept.contains("parameter/key"), "{kept}");
}

#[tokio::test]
async fn sizes_and_details_are_kept_and_secrets_are_not() {
    let (config, _) = ecs(|_, _| {
        (
            200,
            json!({ "taskDefinition": {
                "family": "app", "revision": 1, "cpu": "256", "memory": "512", "ephemeralStorage": {"sizeInGiB": 100},
                "containerDefinitions": [{
                    "name": "web", "image": "x",
                    "portMappings": [{"containerPort": 80, "hostPort": 8080}],
                    "environmentFiles": [{"value": "arn:aws:s3:::hunter2/x.env", "type": "s3"}],
                    "healthCheck": {"command": ["CMD", "/ok"], "interval": 30},
                    "logConfiguration": {"logDriver": "awslogs", "options": {
                        "awslogs-region": "eu-west-1", "awslogs-group": "hunter2",
                    }},
                }],
            }}),
        )
    })
    .await;
    let loaded = ask(&config, "ecs:app").await.expect("a target");
    let definition = &loaded.targets[0].definition;
    let sizes = &definition.sizes;
    assert_eq!((sizes.cpu.value().map(String::as_str), sizes.ephemeral_storage.value()), (Some("256"), Some(&100)));
    let details = &definition.containers[0].details;
    assert_eq!((details.host_ports[0].container, details.host_ports[0].host), (80, 8080));
    assert_eq!(details.health_check.value().map(Vec::len), Some(2));
    assert_eq!(details.log_region.value().map(String::as_str), Some("eu-west-1"));
    assert!(details.environment_files && !format!("{loaded:?}").contains("hunter2"), "{loaded:?}");
}

#[tokio::test]
async fn a_service_says_where_it_runs() {
    for (service, wanted, platform) in [
        (json!({"launchType": "FARGATE"}), "FARGATE", Some("linux/amd64")),
        (json!({"launchType": "EC2"}), "EC2", None),
        (
            json!({"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT"}, {"capacityProvider": "FARGATE"}]}),
            "FARGATE",
            Some("linux/amd64"),
        ),
        (json!({"capacityProviderStrategy": [{"capacityProvider": "own"}]}), "", None),
        (json!({}), "", None),
        (
            json!({"taskDefinition": null, "taskSets": [{"status": "PRIMARY", "launchType": "FARGATE",
            "taskDefinition": "arn:aws:ecs:eu-central-1:123456789012:task-definition/app:42"}]}),
            "FARGATE",
            Some("linux/amd64"),
        ),
    ] {
        let (config, _) = ecs(move |action, input| {
            if action == "DescribeTaskDefinition" {
                assert_eq!(input["taskDefinition"], "app:42");
                return app(&json!({}));
            }
            assert_eq!((&input["cluster"], &input["services"]), (&json!("prod"), &json!(["web"])));
            let mut found = json!({"serviceName": "web", "status": "ACTIVE",
                "taskDefinition": "arn:aws:ecs:eu-central-1:123456789012:task-definition/app:42"});
            for (key, value) in service.as_object().into_iter().flatten() {
                found[key] = value.clone();
            }
            (200, json!({"services": [found], "failures": []}))
        })
        .await;
        let loaded = ask(&config, "ecs-service:prod/web").await.expect("a target");
        let target = serde_json::to_value(loaded.targets[0].json()).expect("JSON");
        let types: Vec<&str> =
            target["launch_types"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert_eq!((types.join(" ").as_str(), target["platform"].as_str()), (wanted, platform));
        if !wanted.is_empty() {
            let source = loaded.targets[0].definition.launch_types.source().expect("a source");
            assert!(source.ends_with("where service web of cluster prod runs it"), "{source}");
        }
    }
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let none =
        || (200, json!({"services": [], "failures": [{"arn": "arn:aws:ecs:…:service/web", "reason": "MISSING"}]}));
    for (source, answer, wanted, help) in [
        (
            "ecs:app:7",
            error("ClientException", "Unable to describe task definition."),
            "ecs:app:7: there is no task definition app:7 in this account and eu-central-1",
            "`aws ecs list-task-definition-families --region eu-central-1`",
        ),
        (
            "ecs-service:prod/web",
            none(),
            "cluster prod has no service web in this account",
            "list-services --cluster prod",
        ),
        (
            "ecs-service:prod/web",
            error("ServiceNotFoundException", "Service not found."),
            "cluster prod has no service web",
            "list-services",
        ),
        (
            "ecs-service:prod/web",
            error("ClusterNotFoundException", "Cluster not found."),
            "there is no cluster prod in this account",
            "`aws ecs list-clusters --region",
        ),
        (
            "ecs-service:prod/web",
            (200, json!({"services": [{"serviceName": "web", "status": "INACTIVE", "taskDefinition": "app:1"}]})),
            "service web of cluster prod is deleted",
            "list-services",
        ),
        (
            "ecs-service:prod/web",
            (200, json!({"services": [{"serviceName": "web", "status": "ACTIVE"}]})),
            "has no task definition yet",
            "list-services",
        ),
    ] {
        let (config, _) = ecs(move |_, _| answer.clone()).await;
        let error = ask(&config, source).await.expect_err("missing");
        assert!(matches!(error, LiveError::Missing { .. }), "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
        assert!(error.help().is_some_and(|words| words.contains(help)), "{:?}", error.help());
    }
}

#[tokio::test]
async fn a_denial_says_what_to_allow() {
    let denial = "User: arn:aws:sts::123456789012:assumed-role/ci/job is not authorized to perform: \
                  ecs:DescribeServices on resource: arn:aws:ecs:eu-central-1:123456789012:service/prod/web because no \
                  identity-based policy allows the ecs:DescribeServices action";
    let (config, asked) = ecs(move |_, _| error("AccessDeniedException", denial)).await;
    let refused = ask(&config, "ecs-service:prod/web").await.expect_err("denied");
    assert!(
        refused
            .to_string()
            .starts_with("ECS refused DescribeServices of ecs-service:prod/web: AccessDeniedException: User:"),
        "{refused}"
    );
    let statement = r#"{"Effect":"Allow","Action":"ecs:DescribeServices","Resource":"arn:aws:ecs:eu-central-1:123456789012:service/prod/web"}"#;
    assert!(refused.help().is_some_and(|help| help.contains(statement)), "{:?}", refused.help());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn throttling_is_waited_out_and_then_told() {
    let times = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&times);
    let (config, _) = ecs(move |_, _| match seen.fetch_add(1, Ordering::Relaxed) {
        0 => error("ThrottlingException", "Rate exceeded"),
        _ => app(&json!({"requiresCompatibilities": ["FARGATE"]})),
    })
    .await;
    assert_eq!(ask(&config, "ecs:app").await.expect("a target").targets.len(), 1);
    let (config, asked) = ecs(|_, _| error("ThrottlingException", "Rate exceeded")).await;
    let refused = ask(&config, "ecs:app").await.expect_err("throttled");
    assert!(refused.to_string().contains("ThrottlingException: Rate exceeded"), "{refused}");
    assert!(refused.help().is_some_and(|help| help.contains("try again")));
    assert!(asked.load(Ordering::Relaxed) > 1);
}

#[tokio::test]
async fn an_ecs_that_is_not_there_is_said_without_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let refused = ask(&config(&url), "ecs:app").await.expect_err("nobody there");
    assert!(matches!(refused, LiveError::Unreachable { .. }), "{refused}");
    let shown = format!("{refused} {refused:?}");
    assert!(!shown.contains("AKIDEXAMPLE") && !shown.contains("Signature"), "{shown}");
    assert!(shown.contains("refused"), "{shown}");
}

#[tokio::test]
async fn an_answer_that_is_no_task_definition_is_an_error() {
    let (config, _) = ecs(|_, _| {
        (
            200,
            json!({"taskDefinition": {"family": "app", "containerDefinitions": [{"image": "x"}],
        "runtimePlatform": {"cpuArchitecture": "SPARC"}}}),
        )
    })
    .await;
    let refused = ask(&config, "ecs:app").await.expect_err("SPARC");
    assert!(matches!(refused, LiveError::Parse { .. }), "{refused}");
    let (config, _) = ecs(|_, _| (200, json!({}))).await;
    assert!(matches!(ask(&config, "ecs:app").await, Err(LiveError::Missing { .. })));
}
