//! What AWS says when it refuses, and what to do about it. AWS has no other place for this than its texts (IAM User
//! Guide "Troubleshoot access denied error messages"), so here, and in the registry's table for ECR, texts are matched.
//!
//! The texts come over the network and what is made of them is pasted into policies: an action or ARN that is not
//! spelled like one makes no advice.

use std::fmt;

use super::policy::Statement;

/// The longest ARN that is taken (IAM's own limit for a role's is 2048).
const LONGEST: usize = 2048;

/// Why, and what to do: a sentence each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Why it was refused.
    pub cause: String,
    /// What helps.
    pub repair: String,
}

impl Advice {
    /// A cause and its repair.
    pub fn new(cause: impl Into<String>, repair: impl Into<String>) -> Self {
        Self { cause: cause.into(), repair: repair.into() }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause, self.repair)
    }
}

/// Texts that say nothing of their own: one of the words, cause, repair.
const KNOWN: [(&[&str], &str, &str); 5] = [
    (
        &["Not authorized to perform sts:AssumeRoleWithWebIdentity"],
        "the role does not trust this job",
        "compare its trust policy with `dockless iam-policy github-trust`: the branch, tag or environment must be named, \
         in GitHub's spelling, and a `*` needs StringLike",
    ),
    (
        &["No OpenIDConnect provider found in your account"],
        "the account does not know GitHub's identity provider",
        "create it with `aws iam create-open-id-connect-provider --url https://token.actions.githubusercontent.com \
         --client-id-list sts.amazonaws.com`",
    ),
    (
        &["ExpiredToken", "security token included in the request is expired"],
        "the AWS credentials have expired",
        "get new ones: assume the role again, or `aws sso login`",
    ),
    (
        &["UnrecognizedClientException", "security token included in the request is invalid", "InvalidClientTokenId"],
        "AWS does not know these credentials",
        "check that key, secret and session token belong together and that their partition is the region's",
    ),
    (
        &["Unable to locate credentials", "no credentials found in chain"],
        "no AWS credentials are found",
        "set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the job a role",
    ),
];

/// What helps against a refusal of AWS, by its text: that of IAM, of STS or of an SDK.
pub fn advice(text: &str) -> Option<Advice> {
    if let Some(denial) = Denial::parse(text) {
        return Some(denial.advice());
    }
    let (_, cause, repair) = KNOWN.iter().find(|(words, ..)| words.iter().any(|word| text.contains(word)))?;
    Some(Advice::new(*cause, *repair))
}

/// The kinds of policies that a request has to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// Of the user or the role.
    Identity,
    /// Of the repository, bucket, key.
    Resource,
    /// Of the organisation, for its accounts.
    ServiceControl,
    /// Of the organisation, for its resources.
    ResourceControl,
    /// The most that the user or the role may ever do.
    Boundary,
    /// Given when the role was assumed.
    Session,
    /// Of the VPC endpoint on the way.
    Endpoint,
    /// Who may assume the role.
    Trust,
}

impl PolicyKind {
    const ALL: [Self; 8] = [
        Self::Identity,
        Self::Resource,
        Self::ServiceControl,
        Self::ResourceControl,
        Self::Boundary,
        Self::Session,
        Self::Endpoint,
        Self::Trust,
    ];

    /// As IAM calls it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Identity => "identity-based policy",
            Self::Resource => "resource-based policy",
            Self::ServiceControl => "service control policy",
            Self::ResourceControl => "resource control policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
            Self::Endpoint => "VPC endpoint policy",
            Self::Trust => "role trust policy",
        }
    }
}

/// Why IAM denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No policy of this kind allows it.
    Missing(PolicyKind),
    /// A policy of this kind denies it, which goes before every allow.
    Denied(PolicyKind),
    /// IAM does not say.
    Unstated,
}

/// IAM's denial: `User: ARN is not authorized to perform: ACTION on resource: ARN because …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The ARN of who asked.
    pub principal: String,
    /// What was asked for: `ecr:PutImage`.
    pub action: String,
    /// The ARN of what it was asked for, where IAM says it; `*` for actions without a resource.
    pub resource: Option<String>,
    /// Why.
    pub reason: Reason,
}

impl Denial {
    /// Finds a denial in a text.
    pub fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once("User: ")?;
        let (principal, rest) = rest.split_once(" is not authorized to perform: ")?;
        let (action, rest) = word(rest);
        let (resource, tail) = match rest.trim_start().strip_prefix("on resource: ") {
            Some(rest) => {
                let (resource, tail) = word(rest);
                (Some(resource), tail)
            }
            None => (None, rest),
        };
        let resource = resource.filter(|resource| is_arn(resource) || *resource == "*");
        if !is_action(action) || !is_arn(principal) {
            return None;
        }
        let kind = PolicyKind::ALL.into_iter().find(|kind| tail.contains(kind.words()));
        let reason = match kind {
            Some(kind) if tail.contains("explicit deny") => Reason::Denied(kind),
            Some(kind) if tail.contains("because no ") => Reason::Missing(kind),
            _ => Reason::Unstated,
        };
        let resource = resource.map(ToOwned::to_owned);
        Some(Self { principal: principal.into(), action: action.into(), resource, reason })
    }

    /// Who asked, by name: `role ci`, `user jane`.
    pub fn who(&self) -> String {
        let name = self.principal.splitn(6, ':').nth(5).unwrap_or_default();
        match name.split('/').collect::<Vec<_>>().as_slice() {
            ["assumed-role", role, ..] | ["role", .., role] => format!("role {role}"),
            ["user", .., user] => format!("user {user}"),
            _ => self.principal.clone(),
        }
    }

    /// The ARN that a policy names: the role's instead of its session's. A role's path is not in its session's ARN; AWS
    /// refuses a principal that does not exist, so a missing path is noticed.
    fn named(&self) -> String {
        let parts: Vec<&str> = self.principal.splitn(6, ':').collect();
        if let [arn, partition, "sts", _, account, name] = parts.as_slice()
            && let ["assumed-role", role, _] = name.split('/').collect::<Vec<_>>().as_slice()
        {
            return format!("{arn}:{partition}:iam::{account}:role/{role}");
        }
        self.principal.clone()
    }

    /// Why, and what to do.
    pub fn advice(&self) -> Advice {
        let (who, action) = (self.who(), &self.action);
        let on = self.resource.as_ref().filter(|one| *one != "*").map(|one| format!(" on {one}")).unwrap_or_default();
        match self.reason {
            Reason::Missing(PolicyKind::Identity) | Reason::Unstated => {
                let cause = format!("{who} has no policy that allows {action}{on}");
                let repair = match &self.resource {
                    Some(resource) => {
                        format!("add {} to a policy of {who}", Statement::allow([action], [resource]).line())
                    }
                    None => format!("allow {action} in a policy of {who}"),
                };
                Advice::new(cause, repair)
            }
            Reason::Missing(PolicyKind::Resource) => {
                let statement = Statement::allow([action], Vec::<String>::new()).to("AWS", self.named()).line();
                let target = self.resource.as_deref().unwrap_or("the resource");
                Advice::new(
                    format!("{target} does not allow {who} of another account {action}"),
                    format!("let its owner add {statement} to its policy; {who} needs a policy of its own as well"),
                )
            }
            Reason::Missing(PolicyKind::Trust) => Advice::new(
                format!("the role does not trust {who}"),
                format!("let the role's trust policy name {}", self.named()),
            ),
            Reason::Missing(kind) => Advice::new(
                format!("no {} of {who} allows {action}{on}", kind.words()),
                format!("allow it there as well: a {} limits what other policies allow", kind.words()),
            ),
            Reason::Denied(kind) => Advice::new(
                format!("a {} denies {who} {action}{on}", kind.words()).replacen("a identity", "an identity", 1),
                "remove that deny, or use another role: it goes before every allow".to_owned(),
            ),
        }
    }
}

/// A word and what follows it, without the full stop or comma that belongs to the sentence.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    (word.trim_end_matches(['.', ',']), rest)
}

fn is_action(text: &str) -> bool {
    let service = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    text.len() < 128
        && text.split_once(':').is_some_and(|(before, name)| {
            !before.is_empty() && service(before) && !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

/// A whole ARN without wildcards: a text from the network must not make a policy wider than one thing.
fn is_arn(text: &str) -> bool {
    text.starts_with("arn:")
        && text.len() <= LONGEST
        && text.splitn(6, ':').filter(|part| !part.is_empty()).count() >= 4
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b":/_+=,.@-".contains(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USER: &str = "User: arn:aws:sts::123456789012:assumed-role/ci/GitHubActions is not authorized to perform: ";
    const ON: &str = "on resource: arn:aws:ecr:eu-central-1:123456789012:repository/team/app";

    fn told(tail: &str) -> String {
        advice(&format!("{USER}{tail}")).expect("advice").to_string()
    }

    #[test]
    fn a_denial_says_what_to_add() {
        let tail = "because no identity-based policy allows the ecr:PutImage action";
        let arn = "arn:aws:ecr:eu-central-1:123456789012:repository/team/app";
        let expected = format!(
            "role ci has no policy that allows ecr:PutImage on {arn}: add \
             {{\"Effect\":\"Allow\",\"Action\":\"ecr:PutImage\",\"Resource\":\"{arn}\"}} to a policy of role ci"
        );
        assert_eq!(told(&format!("ecr:PutImage {ON} {tail}")), expected);
        assert_eq!(told(&format!("ecr:PutImage {ON}.")), expected);
        assert_eq!(
            told("ecr:GetAuthorizationToken on resource: * because no identity-based policy allows it"),
            "role ci has no policy that allows ecr:GetAuthorizationToken: add \
             {\"Effect\":\"Allow\",\"Action\":\"ecr:GetAuthorizationToken\",\"Resource\":\"*\"} to a policy of role ci"
        );
        let role = "arn:aws:iam::123456789012:role/task";
        assert!(
            told(&format!("iam:PassRole on resource: {role} because no identity-based policy allows the iam:PassRole action"))
                .ends_with(&format!("add {{\"Effect\":\"Allow\",\"Action\":\"iam:PassRole\",\"Resource\":\"{role}\"}} to a policy of role ci"))
        );
        assert!(told("ecs:UpdateService").ends_with("allow ecs:UpdateService in a policy of role ci"));
    }

    #[test]
    fn every_kind_of_policy_is_known() {
        for (tail, expected) in [
            (
                "because no resource-based policy allows the ecr:PutImage action",
                "does not allow role ci of another account ecr:PutImage: let its owner add {\"Effect\":\"Allow\",\
                 \"Principal\":{\"AWS\":\"arn:aws:iam::123456789012:role/ci\"},\"Action\":\"ecr:PutImage\"} to its \
                 policy; role ci needs a policy of its own as well",
            ),
            ("with an explicit deny in a service control policy", "it goes before every allow"),
            ("with an explicit deny in an identity-based policy", "it goes before every allow"),
            ("because no permissions boundary allows it", "a permissions boundary limits what other policies allow"),
            ("because no session policy allows it", "a session policy limits what other policies allow"),
            ("because no VPC endpoint policy allows it", "a VPC endpoint policy limits what other policies allow"),
        ] {
            let told = told(&format!("ecr:PutImage {ON} {tail}"));
            assert!(told.ends_with(expected), "{told}");
        }
        let denied = told(&format!("ecr:PutImage {ON} with an explicit deny in an identity-based policy"));
        assert!(denied.starts_with("an identity-based policy denies role ci ecr:PutImage on arn:"), "{denied}");
    }

    #[test]
    fn what_is_not_spelled_like_it_makes_no_statement() {
        for tail in ["*:*", "ecr:*", "ecr:Put\"Image", "PutImage", ""] {
            assert_eq!(Denial::parse(&format!("{USER}{tail} {ON}")), None, "{tail}");
        }
        for resource in ["arn:aws:ecr:*:*:repository/*", "arn:aws:s3", "\"arn:aws:ecr:r:a:repository/x\""] {
            let denial = Denial::parse(&format!("{USER}ecr:PutImage on resource: {resource}")).expect("a denial");
            assert_eq!(denial.resource, None, "{resource}");
        }
        assert_eq!(Denial::parse("User: \u{1b}[31m is not authorized to perform: ecr:PutImage"), None);
    }

    #[test]
    fn other_texts_are_known() {
        for (text, start) in [
            ("Not authorized to perform sts:AssumeRoleWithWebIdentity", "the role does not trust this job"),
            (
                "No OpenIDConnect provider found in your account for https://token.actions.githubusercontent.com",
                "the account does not know GitHub's identity provider",
            ),
            ("ExpiredTokenException: The security token is expired", "the AWS credentials have expired"),
            (
                "UnrecognizedClientException: The security token included in the request is invalid.",
                "AWS does not know these credentials",
            ),
            ("Unable to locate credentials", "no AWS credentials are found"),
        ] {
            let advice = advice(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(advice.cause, start);
        }
        assert_eq!(advice("Rate exceeded"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "\\PC*") {
            advice(&format!("{USER}{text}"));
            advice(&format!("User: {text} is not authorized to perform: ecr:PutImage on resource: {text}"));
            advice(&text);
        }
    }
}
