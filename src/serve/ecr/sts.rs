//! As much of STS as a push needs, by the query protocol: who one is, and the credentials of a role.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;

use super::super::reply::{Answer, Stop, answer, document};
use super::{Ecr, denied};

/// How long the credentials of a role are good (STS API reference: `AssumeRole`, the default).
const SESSION: Duration = Duration::from_hours(1);

/// A form that was posted.
pub(super) struct Form {
    /// The operation.
    pub(super) action: String,
    fields: BTreeMap<String, String>,
}

impl Form {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let fields: BTreeMap<String, String> = url::form_urlencoded::parse(bytes).into_owned().collect();
        Self { action: fields.get("Action").cloned().unwrap_or_default(), fields }
    }

    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// Answers a form.
pub(super) fn answer_query(ecr: &Ecr, form: &Form) -> Result<Answer, Stop> {
    let role = form.field("RoleArn");
    let is_denied = denied(&ecr.settings().deny, "sts", &form.action);
    match form.action.as_str() {
        "AssumeRoleWithWebIdentity" if is_denied => {
            refused("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
        }
        "AssumeRole" if is_denied => {
            let user = format!("arn:aws:sts::{}:assumed-role/dockless/rehearsal", ecr.settings().account);
            refused(
                "AccessDenied",
                &format!("User: {user} is not authorized to perform: sts:AssumeRole on resource: {}", plain(role)),
            )
        }
        "AssumeRoleWithWebIdentity" if form.field("WebIdentityToken").is_empty() => refused(
            "ValidationError",
            "1 validation error detected: Value at 'webIdentityToken' failed to satisfy constraint",
        ),
        "AssumeRole" | "AssumeRoleWithWebIdentity" if !role.contains(":role/") => {
            refused("ValidationError", &format!("{} is invalid", plain(role)))
        }
        action @ ("AssumeRole" | "AssumeRoleWithWebIdentity") => {
            let (id, name) = (ecr.upload_id(), plain(form.field("RoleSessionName")));
            let until = humantime::format_rfc3339_seconds(SystemTime::now() + SESSION);
            let assumed = plain(&role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/"));
            let inner = format!(
                "<Credentials><AccessKeyId>ASIAREHEARSAL</AccessKeyId><SecretAccessKey>secret-{id}</SecretAccessKey>\
                 <SessionToken>session-{id}</SessionToken><Expiration>{until}</Expiration></Credentials>\
                 <AssumedRoleUser><AssumedRoleId>AROADOCKLESS:{name}</AssumedRoleId><Arn>{assumed}/{name}</Arn>\
                 </AssumedRoleUser>"
            );
            accepted(ecr, action, &inner)
        }
        "GetCallerIdentity" => {
            let account = &ecr.settings().account;
            let inner = format!(
                "<Arn>arn:aws:sts::{account}:assumed-role/dockless/rehearsal</Arn><UserId>AROADOCKLESS:rehearsal\
                 </UserId><Account>{account}</Account>"
            );
            accepted(ecr, "GetCallerIdentity", &inner)
        }
        _ => refused("InvalidAction", "Could not find operation"),
    }
}

fn accepted(ecr: &Ecr, action: &str, inner: &str) -> Result<Answer, Stop> {
    let body = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>{inner}</{action}Result>\
         <ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{action}Response>",
        ecr.upload_id()
    );
    document(answer(StatusCode::OK), "text/xml", body.into_bytes())
}

fn refused(code: &str, message: &str) -> Result<Answer, Stop> {
    let status = if code == "AccessDenied" { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    );
    document(answer(status), "text/xml", body.into())
}

/// A text that means nothing to XML.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !"<>&\"'".contains(*c)).take(2048).collect()
}
