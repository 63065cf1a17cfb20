//! What ECR means and what helps: the one table in the registry's client that goes by texts.
//!
//! ECR gives one code to many things (`UNSUPPORTED` to every field it does not like, `DENIED` to an expired token), so
//! its words decide. A row that no longer matches costs a hint, never a push: nothing but [`expected_byte`] and
//! [`is_expired`] changes what is done. There the digest has the last word; here a push of more than 12 hours would
//! fail.

use super::{Error, Reply};
use crate::aws::ecr::{EcrHost, Kind};
use crate::aws::refusal::{Advice, Denial, PolicyKind, Reason};
use crate::oci::digest::Digest;

/// Until 2019: "Your Authorization Token has expired. Please run 'aws ecr get-login'". Never a 401.
const EXPIRED: &str = "authorization token has expired";

/// Whether a reply says that the token has expired, and not that it does not allow what was asked for.
pub(in crate::registry) fn is_expired(reply: &Reply) -> bool {
    reply.status == 403 && reply.errors.iter().any(|error| error.message.to_ascii_lowercase().contains(EXPIRED))
}

/// What helps against a failure at an ECR host; `None` where the general words are as good.
pub(super) fn advice(error: &Error) -> Option<Advice> {
    match error {
        Error::Schema { fields, source, .. } if !fields.is_empty() => {
            let place = Place::of(&source.reply()?.attempt.registry, "")?;
            let cause = format!("{} refuses manifests with {}", place.service(), fields.join(" and "));
            let plain = "build the image again in the plain form of the specification: a mediaType of its own, and nothing \
                         but mediaType, digest and size in config and subject";
            Some(Advice::new(cause, plain))
        }
        Error::Lost { attempt, .. } | Error::Stalled { attempt, .. } if attempt.path.contains("/blobs/uploads/") => {
            let place = Place::of(&attempt.registry, &attempt.repository)?;
            Some(Advice::new(
                "ECR hangs up in the middle of an upload when the repository does not exist or a permission is missing",
                format!(
                    "check that {} exists, that {}, and only then the line itself",
                    place.repository,
                    place.allowed()
                ),
            ))
        }
        _ => of_reply(error.reply()?),
    }
}

/// Where something was refused.
struct Place {
    host: EcrHost,
    /// As the reference has it.
    registry: String,
    repository: String,
    /// `registry/repository`
    full: String,
}

impl Place {
    fn of(registry: &str, repository: &str) -> Option<Self> {
        let host = EcrHost::parse(registry)?;
        let full = format!("{registry}/{repository}");
        Some(Self { host, registry: registry.into(), repository: repository.into(), full })
    }

    fn service(&self) -> &'static str {
        if self.host.kind == Kind::Public { "Amazon ECR Public" } else { "Amazon ECR" }
    }

    /// `account 123456789012 in eu-central-1`
    fn account(&self) -> String {
        match &self.host.account {
            Some(account) => format!("account {account} in {}", self.host.region),
            None => self.service().into(),
        }
    }

    /// A command of the AWS CLI about the repository.
    fn command(&self, verb: &str, rest: &str) -> String {
        let region = &self.host.region;
        let (service, name) = match self.host.kind {
            Kind::Private => ("ecr", self.repository.as_str()),
            // The first word is the alias of the registry and not in the repository's own name.
            Kind::Public => ("ecr-public", self.repository.split_once('/').map_or("", |(_, name)| name)),
        };
        format!("`aws {service} {verb} --repository-name {name} --region {region}{rest}`")
    }

    /// The command that prints all permissions that are needed; nothing for the public registry, whose hosts name no
    /// account.
    fn policy(&self, task: &str) -> Option<String> {
        self.host.account.as_ref().map(|_| format!("`dockless iam-policy {task} {}`", self.full))
    }

    fn allowed(&self) -> String {
        match self.policy("push") {
            Some(command) => format!("what {command} prints is allowed"),
            None => "pushing to it is allowed".into(),
        }
    }

    /// How to have credentials for this host and no other.
    fn login(&self) -> String {
        let service = if self.host.kind == Kind::Public { "ecr-public" } else { "ecr" };
        format!(
            "have AWS credentials, which give a token by themselves, or log in to this very host with what `aws \
             {service} get-login-password --region {}` prints",
            self.host.region
        )
    }
}

/// A row of the table: whether it is meant, and what is said then.
struct Row {
    statuses: &'static [u16],
    /// The registry's code; any where it is empty.
    code: &'static str,
    /// One of these is in the text, whatever the case; any text where there are none.
    words: &'static [&'static str],
    advice: fn(&Place, &Reply) -> Advice,
}

/// The first row that fits is taken.
const ROWS: &[Row] = &[
    Row {
        statuses: &[404],
        code: "NAME_UNKNOWN",
        words: &[],
        advice: |place, reply| match whole_uri(place) {
            None if reply.attempt.reads() => Advice::new(
                format!("there is no repository {:?} in {}", place.repository, place.account()),
                "check its name, account and region",
            ),
            Some(name) => Advice::new(
                format!("the repository's name {:?} begins with a registry", place.repository),
                format!("leave it out there: {}/{name}", place.registry),
            ),
            None => Advice::new(
                format!("there is no repository {:?} in {}", place.repository, place.account()),
                format!(
                    "create it with {}, or check its name, account and region",
                    place.command("create-repository", "")
                ),
            ),
        },
    },
    Row {
        statuses: &[400],
        code: "TAG_INVALID",
        // "because the repository is immutable" until 2024, "because the tag is immutable" since.
        words: &["is immutable", "already exists"],
        advice: |place, _| {
            Advice::new(
                "the tag names another image already, and tags of this repository cannot be moved",
                format!(
                    "push another tag, or allow it with {}",
                    place.command("put-image-tag-mutability", " --image-tag-mutability MUTABLE")
                ),
            )
        },
    },
    Row {
        statuses: &[403],
        code: "",
        words: &[EXPIRED],
        advice: |place, _| {
            Advice::new(
                format!(
                    "the authorization token for {} has expired (it lives 12 hours, and not longer than the session of \
                     the role that got it)",
                    place.registry
                ),
                place.login(),
            )
        },
    },
    Row {
        statuses: &[403],
        code: "",
        words: &["is not authorized to perform"],
        advice: |place, reply| {
            let Some(denial) = Denial::parse(&text(reply)) else {
                let cause = format!("IAM denies it on {:?}", place.repository);
                return Advice::new(cause, format!("see that {}", place.allowed()));
            };
            let Advice { cause, repair } = denial.advice();
            let reads = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"].contains(&denial.action.as_str());
            let task = if reads { "verify" } else { "push" };
            match (denial.reason, place.policy(task)) {
                // Where one action is missing, others are as well.
                (Reason::Missing(PolicyKind::Identity) | Reason::Unstated, Some(all)) => {
                    Advice::new(cause, format!("{repair}; {all} prints all that is needed"))
                }
                _ => Advice::new(cause, repair),
            }
        },
    },
    Row {
        statuses: &[401],
        code: "",
        words: &[],
        advice: |place, reply| {
            let login = place.login();
            if reply.anonymous {
                return Advice::new(format!("no credentials are found for {}", place.registry), login);
            }
            Advice::new(
                format!("the credentials are not for {}, or have expired", place.account()),
                format!("{login}; what counts is its region, not AWS_REGION"),
            )
        },
    },
    Row {
        statuses: &[405],
        code: "UNSUPPORTED",
        words: &["number of layers"],
        advice: |place, _| {
            Advice::new(format!("the image has more layers than {} takes", place.service()), "join some of its layers")
        },
    },
    Row {
        statuses: &[405],
        code: "UNSUPPORTED",
        words: &[],
        advice: |place, _| {
            Advice::new(
                format!("{} takes fewer kinds of manifests than the specification has", place.service()),
                "look for a missing mediaType, for platform, annotations or data in the descriptor of the configuration \
                 or the subject, and for an artifact's manifest",
            )
        },
    },
    Row {
        statuses: &[429],
        code: "",
        words: &[],
        advice: |place, _| {
            Advice::new(
                format!(
                    "{} has more requests a second than its quota, all pipelines together (PutImage: 10)",
                    place.account()
                ),
                "try again later, push fewer images at a time, or ask AWS for a higher quota",
            )
        },
    },
    Row {
        statuses: &[416],
        code: "",
        words: &[],
        advice: |_, _| {
            Advice::new(
                "the upload sessions lost their place",
                "try again, with --chunk-size none if it stays: then each blob is one request",
            )
        },
    },
    Row {
        statuses: &[400],
        code: "",
        words: &["does not have any parts"],
        advice: |place, _| empty_blob(place.service()),
    },
    Row {
        statuses: &[400],
        code: "",
        words: &["should be at least 5MB", "at least 5 MiB"],
        advice: |place, _| {
            Advice::new(
                format!("{} takes no part below 5 MiB, apart from the last one", place.service()),
                "leave out --chunk-size, or give 5MiB at least",
            )
        },
    },
    Row {
        statuses: &[400],
        code: "",
        words: &["match the calculated layer digest"],
        advice: |_, _| {
            Advice::new(
                "what arrived has another digest",
                "try again; if it stays, a proxy on the way changes what passes",
            )
        },
    },
    Row {
        statuses: &[],
        code: "",
        words: &["required for pushing image into repository"],
        advice: |_, _| {
            Advice::new(
                "the manifest names images or layers that the repository does not have",
                "push the whole image to this repository; a lifecycle rule may have removed a part of it in between",
            )
        },
    },
    Row {
        statuses: &[403],
        code: "",
        words: &[],
        advice: |place, _| {
            Advice::new(
                format!("the credentials for {} are valid, but do not allow this", place.registry),
                format!("check the repository's name, and that {}", place.allowed()),
            )
        },
    },
];

fn of_reply(reply: &Reply) -> Option<Advice> {
    // A storage or token server behind ECR speaks for itself.
    if reply.attempt.host != reply.attempt.registry {
        return None;
    }
    let place = Place::of(&reply.attempt.registry, &reply.attempt.repository)?;
    let said = text(reply).to_lowercase();
    let row = ROWS.iter().find(|row| {
        (row.statuses.is_empty() || row.statuses.contains(&reply.status))
            && (row.code.is_empty() || reply.has_code(row.code))
            && (row.words.is_empty() || row.words.iter().any(|word| said.contains(&word.to_lowercase())))
    })?;
    // Without any credentials a denial that says nothing is about that.
    if reply.status == 403 && row.words.is_empty() && reply.anonymous {
        return None;
    }
    Some((row.advice)(&place, reply))
}

/// All words of a reply.
fn text(reply: &Reply) -> String {
    let mut words: Vec<&str> = reply.errors.iter().map(|error| error.message.as_str()).collect();
    words.extend(reply.excerpt.as_deref());
    words.join(" ")
}

/// The repository's own name, where a whole URI stands in its place: `HOST/HOST/team/app`, of a pipeline that puts the
/// registry before what has one already.
fn whole_uri(place: &Place) -> Option<&str> {
    let (first, name) = place.repository.split_once('/')?;
    EcrHost::parse(first).map(|_| name)
}

/// What helps against a blob without bytes.
pub(super) fn empty_blob(service: &str) -> Advice {
    Advice::new(
        format!("{service} takes no blob without bytes"),
        "leave the empty layer out, or use the two bytes `{}` of the specification's empty descriptor",
    )
}

/// The byte that ECR expects next, out of "First byte of the layer part is N instead of M".
pub(in crate::registry) fn expected_byte(reply: &Reply) -> Option<u64> {
    let rest = reply.errors.iter().find_map(|error| error.message.split_once("irst byte of the layer part is "))?.1;
    let (_, expected) = rest.split_once(" instead of ")?;
    let end = expected.find(|c: char| !c.is_ascii_digit()).unwrap_or(expected.len());
    expected[..end].parse().ok()
}

/// The fields of a manifest that ECR is known to refuse, although the specification allows them (moby#47661,
/// nydus#1691, acceleration-service#353, containers-roadmap#2023 and #2783; containers/image `docker_image_dest.go`).
pub(in crate::registry) fn refused_fields(manifest: &[u8]) -> Vec<&'static str> {
    let Ok(serde_json::Value::Object(manifest)) = serde_json::from_slice(manifest) else { return Vec::new() };
    let has = |descriptor: &str, key: &str| manifest.get(descriptor).and_then(|one| one.get(key)).is_some();
    let in_lists = |key: &str| {
        ["layers", "manifests"]
            .into_iter()
            .filter_map(|list| manifest.get(list)?.as_array())
            .flatten()
            .any(|one| one.get(key).is_some())
    };
    let all = [
        (!manifest.contains_key("mediaType"), "no mediaType of their own"),
        (has("config", "platform"), "a platform in config"),
        (has("config", "annotations"), "annotations in config"),
        (has("subject", "platform"), "a platform in subject"),
        (has("config", "data") || has("subject", "data") || in_lists("data"), "data in a descriptor"),
        // Not every one of them, and which is not known.
        (manifest.contains_key("artifactType"), "some kinds of artifactType"),
    ];
    all.into_iter().filter(|(there, _)| *there).map(|(_, words)| words).collect()
}

/// The failure of a manifest that ECR takes for no manifest.
pub(in crate::registry) fn schema(error: Error, digest: Digest, manifest: &[u8]) -> Error {
    let refused = |reply: &Reply| reply.status == 405 && EcrHost::parse(&reply.attempt.registry).is_some();
    match error {
        Error::Refused(reply) if refused(&reply) && text(&reply).contains("ImageManifest") => {
            let fields = refused_fields(manifest);
            Error::Schema { digest, fields, source: Box::new(Error::Refused(reply)) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::tests::reply;
    use super::*;

    #[test]
    fn reads_the_byte_that_ecr_expects() {
        let read = |message: &str| {
            let body = format!(r#"{{"errors":[{{"code":"BLOB_UPLOAD_INVALID","message":"{message}"}}]}}"#);
            expected_byte(&reply(416, "/v2/a/blobs/uploads/1", "application/json", body.as_bytes()))
        };
        assert_eq!(read("First byte of the layer part is 0 instead of 11304960"), Some(11_304_960));
        assert_eq!(read("First byte of the layer part is 0 instead of 11304960."), Some(11_304_960));
        for other in ["", "First byte of the layer part is 0", "First byte of the layer part is 0 instead of x"] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(read("First byte of the layer part is 0 instead of 99999999999999999999"), None);
    }

    #[test]
    fn finds_the_fields_that_ecr_refuses() {
        let sound = br#"{"schemaVersion":2,"mediaType":"x","config":{"mediaType":"y"},"layers":[{"annotations":{}}]}"#;
        assert!(refused_fields(sound).is_empty());
        let wrong =
            br#"{"config":{"platform":{},"annotations":{}},"layers":[{"data":"e30="}],"subject":{"platform":{}}}"#;
        assert_eq!(
            refused_fields(wrong),
            [
                "no mediaType of their own",
                "a platform in config",
                "annotations in config",
                "a platform in subject",
                "data in a descriptor",
            ]
        );
        assert!(refused_fields(b"[]").is_empty());
    }
}
