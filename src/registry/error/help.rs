//! What helps: a sentence for each failure that somebody can do something about.

use super::{Attempt, Error, Obstacle, ecr};
use crate::aws::ecr::EcrHost;
use crate::aws::error::AwsError;
use crate::aws::refusal::Advice;
use crate::aws::region;

impl Error {
    /// One sentence of repair, where there is something to do.
    pub fn help(&self) -> Option<String> {
        if let Some(advice) = ecr::advice(self) {
            return Some(advice.to_string());
        }
        Some(match self {
            Self::Unauthorized(reply) | Self::Denied(reply) if reply.anonymous => {
                format!("no credentials are found for {0}: log in to {0} first", reply.attempt.registry)
            }
            Self::Unauthorized(reply) => {
                format!(
                    "the credentials for {0} are wrong or have expired: log in to {0} again",
                    reply.attempt.registry
                )
            }
            Self::Denied(reply) => format!(
                "the credentials for {} are valid, but do not allow this on {:?}: ask for the permission, or check \
                 the repository's name",
                reply.attempt.registry, reply.attempt.repository
            ),
            // Nobody reads from a repository that is still to be created.
            Self::NameUnknown(reply) if reply.attempt.reads() => format!(
                "check how {:?} is spelled: there is no such repository at {}",
                reply.attempt.repository, reply.attempt.registry
            ),
            Self::NameUnknown(reply) => format!(
                "create the repository {:?} at {}, or check how it is spelled",
                reply.attempt.repository, reply.attempt.registry
            ),
            // An index whose manifests went before it, or a registry that looks further than the blobs.
            Self::ManifestUnknown(reply) if reply.attempt.method == "PUT" => format!(
                "the manifest names another one that is not in {}/{}: push the whole image again",
                reply.attempt.registry, reply.attempt.repository
            ),
            Self::ManifestUnknown(reply) => {
                format!("check the tag or digest: it is not in {}/{}", reply.attempt.registry, reply.attempt.repository)
            }
            Self::TooManyRequests(_) => "wait a while, and push fewer images at a time".into(),
            Self::Server(reply) if reply.refuses_content() => {
                "the registry does not take what the manifest names: where that are layers which are kept elsewhere \
                 (`urls`), it has to allow them"
                    .into()
            }
            Self::Server(_) => "the registry itself is in trouble: try again later".into(),
            Self::Refused(reply) if reply.has_code("TAG_INVALID") => {
                "the tag exists already and the repository's tags are immutable, or the registry does not take such a \
                 tag: push another one"
                    .into()
            }
            Self::Refused(reply) if reply.status == 413 && reply.attempt.path.contains("/manifests/") => {
                "the registry or a proxy before it takes smaller manifests only: have its limit raised, or shorten the \
                 annotations"
                    .into()
            }
            Self::Refused(reply) if reply.status == 413 => {
                "the registry or a proxy before it takes smaller requests only: give a smaller --chunk-size".into()
            }
            Self::Refused(reply) if reply.wants_tls() => speak_tls(&reply.attempt),
            Self::Refused(reply) if reply.attempt.token && matches!(reply.status, 300..=399) => format!(
                "the token server of {} redirects, and credentials are not carried along: the registry has to name the \
                 server that answers",
                reply.attempt.registry
            ),
            Self::Refused(reply) if matches!(reply.status, 300..=399) => format!(
                "{} redirects what is to be stored, which only 307 and 308 to one place can: use the name of the registry \
                 that it sends to",
                reply.attempt.host
            ),
            Self::Connect { obstacle, attempt, .. } => match obstacle {
                Obstacle::Name => format!("check the name {} and this machine's DNS", attempt.host),
                Obstacle::Refused => format!("check that a registry listens at {}", attempt.host),
                Obstacle::Timeout => format!("check the route to {}: firewall, proxy, VPC endpoint", attempt.host),
                Obstacle::CertificateExpired => {
                    format!("renew the certificate of {}, or set this machine's clock", attempt.host)
                }
                Obstacle::CertificateIssuer => format!(
                    "give the CA that signed the certificate of {}, or the certificate itself where it is self-signed, with \
                     --ca-file, or install this machine's CA certificates",
                    attempt.host
                ),
                Obstacle::CertificateName => format!("use the name that the certificate of {} is for", attempt.host),
                Obstacle::NotTls => {
                    format!("{} speaks plain http, which is spoken on this machine's own addresses only", attempt.host)
                }
                Obstacle::NotHttp => format!("if it speaks TLS, {}", speak_tls(attempt)),
                Obstacle::Proxy(_) => format!(
                    "check the proxy in HTTPS_PROXY, its user and password included, or put {} into NO_PROXY",
                    attempt.host
                ),
                Obstacle::Tls | Obstacle::Other => return None,
            },
            Self::Lost { attempt, .. } | Self::Stalled { attempt, .. } => {
                format!("check the connection to {} and try again: blobs that arrived are not sent twice", attempt.host)
            }
            Self::Upload { source, .. } => return source.help(),
            Self::Aws { registry, source } => {
                let doctor = format!("`dockless doctor ecr {registry}/REPOSITORY` says what each way lacks");
                let doubt = EcrHost::parse(registry).and_then(|host| region::doubt(&host.region));
                return match source.advice() {
                    // A host that nobody has is not reached either; but a region may be newer than we are.
                    Some(Advice { repair, .. })
                        if doubt.is_some() && matches!(**source, AwsError::Unreachable { .. }) =>
                    {
                        doubt.map(|doubt| format!("{doubt}. Otherwise {repair}"))
                    }
                    Some(Advice { repair, .. }) if matches!(**source, AwsError::NoCredentials(_)) => {
                        Some(format!("{repair}; {doctor}"))
                    }
                    advice => advice.map(|advice| advice.to_string()),
                };
            }
            Self::TagImmutable { .. } => "push another tag, or let tags that match a filter be moved (`aws ecr \
                                          put-image-tag-mutability`, IMMUTABLE_WITH_EXCLUSION)"
                .into(),
            Self::ChunkSize { .. } => "leave out --chunk-size, or give 5MiB at least".into(),
            Self::EmptyBlob { .. } => ecr::empty_blob("Amazon ECR").to_string(),
            Self::PlainHttp(_) => "give the registry a certificate (--ca-file names its CA)".into(),
            Self::CredentialHelper { helper, .. } => format!("check that {helper} is on the PATH and works"),
            Self::CredentialSyntax { path, .. } => format!("repair {}, or log in again", path.display()),
            Self::Proxy { variable, .. } => {
                format!("set {variable} to http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, or unset it")
            }
            Self::CaFile { .. } => "a PEM file with -----BEGIN CERTIFICATE----- is expected".into(),
            _ => return None,
        })
    }
}

/// How plain http, which is spoken to a registry on this machine, becomes TLS.
fn speak_tls(attempt: &Attempt) -> String {
    format!("set DOCKLESS_REGISTRY_ENDPOINT={}=https://{}, so that TLS is spoken to it", attempt.registry, attempt.host)
}

#[cfg(test)]
mod tests {
    use super::super::reply::tests::reply;
    use super::*;

    #[test]
    fn help_fits_what_was_attempted() {
        let help = |status, path, content_type, body: &str| {
            Error::of(reply(status, path, content_type, body.as_bytes())).help().unwrap_or_default()
        };
        let manifest = "/v2/team/app/manifests/v1";
        assert!(help(413, manifest, "", "").contains("smaller manifests"));
        assert!(help(413, "/v2/team/app/blobs/uploads/1", "", "").contains("--chunk-size"));
        assert!(help(404, manifest, "", "").starts_with("create the repository"));
        let unknown = r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#;
        assert!(help(404, manifest, "application/json", unknown).contains("names another one"));
        let tls = help(400, manifest, "", "Client sent an HTTP request to an HTTPS server.");
        assert!(tls.starts_with("set DOCKLESS_REGISTRY_ENDPOINT=example.com=https://example.com,"), "{tls}");
        assert!(!help(429, manifest, "", "").contains("--jobs"));
    }
}
