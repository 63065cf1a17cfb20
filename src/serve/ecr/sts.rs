//! As much of STS as clients need to say who they are: `GetCallerIdentity`, by the query protocol.

use hyper::StatusCode;

use super::super::reply::{Answer, Stop, answer, document};
use super::Ecr;

/// Answers a form that was posted.
pub(super) fn answer_query(ecr: &Ecr, form: &[u8]) -> Result<Answer, Stop> {
    let action =
        url::form_urlencoded::parse(form).find(|(key, _)| key == "Action").map(|(_, value)| value.into_owned());
    if action.as_deref() != Some("GetCallerIdentity") {
        let body = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                    <Code>InvalidAction</Code><Message>Could not find operation</Message></Error></ErrorResponse>";
        return document(answer(StatusCode::BAD_REQUEST), "text/xml", body.into());
    }
    let account = &ecr.settings().account;
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:sts::{account}:assumed-role/dockless/rehearsal</Arn><UserId>AROADOCKLESS:rehearsal</UserId>\
         <Account>{account}</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>{}</RequestId>\
         </ResponseMetadata></GetCallerIdentityResponse>",
        ecr.upload_id()
    );
    document(answer(StatusCode::OK), "text/xml", body.into_bytes())
}
