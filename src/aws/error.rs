//! Why AWS gave no answer, or said no.

use std::error::Error;
use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use thiserror::Error;

use super::refusal::{self, Advice};
use crate::cause;

/// The longest text of a reply that is repeated, in bytes.
const LONGEST: usize = 600;

/// What one link of the chain of credentials answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The link: `environment`, `profile`, …
    pub link: &'static str,
    /// Why it gave nothing; `None` where it answered.
    pub lacks: Option<Lacks>,
}

/// Why a link of the chain has no credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lacks {
    /// Nobody set it up, and this would be how.
    Unset(&'static str),
    /// What it is set up with is not there: a profile of another name.
    Wrong(String),
}

impl fmt::Display for Lacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset(what) => f.write_str(what),
            Self::Wrong(why) => f.write_str(why),
        }
    }
}

/// Why AWS gave no answer, or said no.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AwsError {
    /// No link of the chain has credentials.
    #[error("there are no AWS credentials: none by {}", listed(.0))]
    NoCredentials(Vec<Attempt>),
    /// A link that is set up gave none.
    #[error("the AWS credentials of {link} cannot be had: {why}")]
    Link {
        /// Which.
        link: &'static str,
        /// Why.
        why: String,
    },
    /// A call was refused.
    #[error("{operation}: {}", refused(.code, .message))]
    Refused {
        /// The call: `ecr:DescribeRepositories`.
        operation: &'static str,
        /// The name of the exception: `AccessDeniedException`.
        code: String,
        /// What it says.
        message: String,
    },
    /// No answer came.
    #[error("{operation}: {why}")]
    Unreachable {
        /// The call.
        operation: &'static str,
        /// Why.
        why: String,
    },
    /// An answer came that is no error of AWS's: without a code, without a message.
    #[error("{operation}: the answer is {status}, and none of AWS's")]
    Foreign {
        /// The call.
        operation: &'static str,
        /// The status of HTTP.
        status: u16,
    },
    /// An answer came that lacks what it is for.
    #[error("{operation}: the answer has no {lacks}")]
    Garbage {
        /// The call.
        operation: &'static str,
        /// What is not there.
        lacks: &'static str,
    },
    /// GitHub gave no token for the job.
    #[error("GitHub gives no OIDC token for this job: {0}")]
    GitHub(String),
    /// The certificate authorities that were handed in are none.
    #[error("the AWS client cannot be set up: {0}")]
    Client(String),
}

fn listed(attempts: &[Attempt]) -> String {
    let words = attempts.iter().map(|one| match &one.lacks {
        Some(Lacks::Wrong(why)) => format!("{} ({why})", one.link),
        _ => one.link.to_owned(),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn refused(code: &str, message: &str) -> String {
    match (code, message) {
        ("", "") => "refused without a word".into(),
        ("", text) | (text, "") => text.into(),
        _ => format!("{code}: {message}"),
    }
}

impl AwsError {
    /// What an SDK's error says. Its `Debug` and its chain hold whole replies: neither is repeated.
    pub(super) fn of<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata,
    {
        if let SdkError::ServiceError(refused) = error {
            let code = tame(refused.err().code().unwrap_or_default());
            let message = tame(refused.err().message().unwrap_or_default());
            if code.is_empty() && message.is_empty() {
                return Self::Foreign { operation, status: refused.raw().status().as_u16() };
            }
            return Self::Refused { operation, code, message };
        }
        let why = match error {
            SdkError::TimeoutError(_) => "no answer in time".to_owned(),
            SdkError::ResponseError(_) => {
                "the answer is not of the AWS API; is a proxy or another server there?".into()
            }
            SdkError::DispatchFailure(failure) => {
                failure.as_connector_error().map_or_else(|| "the request was not sent".into(), |error| root(error))
            }
            SdkError::ConstructionFailure(_) => "the request could not be made".into(),
            _ => "the call failed".into(),
        };
        Self::Unreachable { operation, why }
    }

    /// Whether the call was refused with an exception of this name.
    pub fn is(&self, name: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == name)
    }

    /// Whether IAM refused it.
    pub fn is_denied(&self) -> bool {
        self.is("AccessDeniedException") || self.is("AccessDenied")
    }

    /// The cause and the repair, where they are known.
    pub fn advice(&self) -> Option<Advice> {
        match self {
            Self::NoCredentials(_) => Some(Advice::new(
                "no AWS credentials are found",
                "set AWS_PROFILE (after `aws sso login` where it needs one), or AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY; in GitHub Actions give --role and `permissions: id-token: write`",
            )),
            Self::Link { why, .. } => refusal::advice(why).or_else(|| {
                let sso = why.contains("SSO") || why.contains("sso");
                sso.then(|| Advice::new("the single sign-on has no valid session", "log in with `aws sso login`"))
            }),
            Self::Refused { code, message, .. } => refusal::advice(&format!("{code}: {message}")),
            Self::GitHub(_) => Some(Advice::new(
                "the job may not ask for one",
                "add `permissions: id-token: write` and `contents: read` to the job; a pull request from a fork never \
                 may",
            )),
            Self::Unreachable { .. } => Some(Advice::new(
                "the API of AWS is not reached",
                "check the network, HTTPS_PROXY and NO_PROXY, and AWS_ENDPOINT_URL; in a VPC without a way out, \
                 endpoints for ecr.api, ecr.dkr and sts",
            )),
            Self::Foreign { .. } => Some(Advice::new(
                "another server answers in place of AWS, and does not know the call",
                "an imitation of AWS may do without; else check AWS_ENDPOINT_URL and HTTPS_PROXY",
            )),
            Self::Garbage { .. } | Self::Client(_) => None,
        }
    }
}

/// The innermost cause.
pub(super) fn root(error: &(dyn Error + 'static)) -> String {
    tame(&cause::innermost(error))
}

/// A text from elsewhere on one line, without control characters and not too long.
pub(super) fn tame(text: &str) -> String {
    let mut tamed = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if tamed.len() + word.len() > LONGEST {
            tamed.push('…');
            break;
        }
        if !tamed.is_empty() {
            tamed.push(' ');
        }
        tamed.push_str(word);
    }
    tamed
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.lacks {
            None => write!(f, "{}: answered", self.link),
            Some(lacks) => write!(f, "{}: {lacks}", self.link),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_elsewhere_are_one_line() {
        assert_eq!(tame("a\u{1b}[31m\n b\t"), "a [31m b");
        assert!(tame(&"word ".repeat(1000)).len() <= LONGEST + 3);
    }

    #[test]
    fn a_refusal_says_what_to_add() {
        let error = AwsError::Refused {
            operation: "ecr:GetAuthorizationToken",
            code: "AccessDeniedException".into(),
            message: "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: \
                      ecr:GetAuthorizationToken on resource: * because no identity-based policy allows the \
                      ecr:GetAuthorizationToken action"
                .into(),
        };
        assert!(error.is_denied());
        assert!(error.advice().is_some_and(|advice| advice.repair.contains("\"Resource\":\"*\"")));
    }
}
