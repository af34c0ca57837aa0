//! One admission, from the body's bytes to the answer's: no sockets, no clock, no logging.

use http::StatusCode;

use super::{
    check,
    namespaces::Known,
    record::{Endpoint, Outcome, Record, owner_of},
    response::{Denial, Response, refusal, texts, with_hint},
    review::{Malformed, PodCreation, Review, Unreadable, WorkloadChange},
    rules::Rules,
};
use crate::{
    codes::{Code, admission},
    inject::{self, Context, document::Document, patch::Patch, problem::one_line},
};

/// What goes back, and what is to be told of it.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status: 200 whenever there is a uid to answer.
    pub status: StatusCode,
    /// JSON.
    pub body: Vec<u8>,
    /// For the log and the metrics.
    pub record: Record,
}

/// Answers one request.
pub fn answer(body: &[u8], endpoint: Endpoint, rules: &Rules) -> Answer {
    match endpoint {
        Endpoint::Asked => answer_with(Review::<PodCreation<'_>>::parse(body), other, |uid, creation| {
            create(uid, creation, false, rules)
        }),
        Endpoint::All => answer_with(Review::<PodCreation<'_>>::parse(body), other, |uid, creation| {
            create(uid, creation, true, rules)
        }),
        Endpoint::Workloads => {
            answer_with(Review::<WorkloadChange>::parse(body), unchecked, |uid, change| {
                check::check(uid, &change, rules)
            })
        }
    }
}

fn answer_with<Q>(
    review: Result<Review<Q>, Unreadable>,
    other: impl FnOnce(&str) -> (Response<'_>, Record),
    decide: impl FnOnce(&str, Q) -> (Response<'_>, Record),
) -> Answer {
    let Review { uid, question } = match review {
        Ok(review) => review,
        Err(unreadable) => return unreadable_answer(unreadable),
    };
    let (response, record) = match question {
        Ok(Some(question)) => decide(&uid, question),
        Ok(None) => other(&uid),
        Err(malformed) => malformed_answer(&uid, malformed),
    };
    match response.into_body() {
        Ok(body) => Answer { status: StatusCode::OK, body, record },
        Err(_) => fault(StatusCode::INTERNAL_SERVER_ERROR, admission::INTERNAL, "the answer is no JSON"),
    }
}

/// An answer that is no admission review, for requests that are none.
pub fn fault(status: StatusCode, code: Code, message: &str) -> Answer {
    // Only strings go in, so that this can't fail; an empty body would still be answered with the status.
    let body = serde_json::json!({ "code": code.id(), "message": message });
    let body = serde_json::to_vec(&body).unwrap_or_default();
    Answer { status, body, record: Record::error(code, message) }
}

fn unreadable_answer(unreadable: Unreadable) -> Answer {
    fault(StatusCode::BAD_REQUEST, admission::UNREADABLE, &unreadable.to_string())
}

fn malformed_answer(uid: &str, malformed: Malformed) -> (Response<'_>, Record) {
    let code = admission::MALFORMED;
    let message = with_hint(format!("[{code}] malformed admission review: {malformed}"));
    (Response::deny(uid, Denial::BadRequest, message), Record::error(code, malformed.to_string()))
}

/// Let through, and said: only a webhook configuration that is not ours sends such things, and denying them would
/// stop strangers, such as every update of every pod, over a mistake in it.
fn other(uid: &str) -> (Response<'_>, Record) {
    let code = admission::NOT_A_POD_CREATION;
    let warning =
        format!("[{code}] esc-injector handles the creation of pods only: its webhook rules are wrong");
    let record = Record { codes: vec![code], ..Record::new(Outcome::Skipped) };
    (Response::allow(uid, vec![warning]), record)
}

/// What makes no pods, goes away, or is a part of something: let through, and nothing said, since the check only
/// advises.
fn unchecked(uid: &str) -> (Response<'_>, Record) {
    (Response::allow(uid, Vec::new()), Record::new(Outcome::Skipped))
}

fn create<'a>(
    uid: &'a str,
    creation: PodCreation<'_>,
    everyone: bool,
    rules: &Rules,
) -> (Response<'a>, Record) {
    let PodCreation { namespace, dry_run, pod } = creation;
    let known = rules.namespaces.get(&namespace);
    let context = Context {
        namespace: &namespace,
        namespace_annotations: match &known {
            Known::Yes(namespace) => Some(&namespace.annotations),
            Known::Unread | Known::NotYet => None,
        },
        everyone,
        api_server: rules.api_server.release(),
        policy: &rules.policy,
    };
    let owner = owner_of(&pod);
    let (response, record) = if matches!(known, Known::NotYet) && inject::concerns(&pod, &context) {
        undecided(uid, &namespace)
    } else {
        respond(uid, inject::decide(&pod, &context), &pod)
    };
    (response, record.about(&namespace, owner, dry_run))
}

/// The pod asks, and what its namespace allows and defaults is not known yet. Whoever made it will try again.
fn undecided<'a>(uid: &'a str, namespace: &str) -> (Response<'a>, Record) {
    let code = admission::NAMESPACE_UNKNOWN;
    let message = with_hint(format!(
        "[{code}] the webhook does not know namespace `{}` yet, and what it says decides over this pod: try again",
        one_line(namespace)
    ));
    let record = Record { codes: vec![code], ..Record::new(Outcome::Rejected) };
    (Response::deny(uid, Denial::Unavailable, message), record)
}

/// Turns what becomes of a pod into the answer.
fn respond<'a>(uid: &'a str, outcome: inject::Outcome, pod: &Document<'_>) -> (Response<'a>, Record) {
    match outcome {
        inject::Outcome::Skipped { warnings } => {
            let warnings = texts(&warnings);
            (Response::allow(uid, warnings), Record::new(Outcome::Skipped))
        }
        inject::Outcome::Injected { patch, warnings } => {
            let record = Record::new(Outcome::Injected);
            let warnings = texts(&warnings);
            if patch.0.is_empty() {
                return (Response::allow(uid, warnings), record);
            }
            match try_patch(&patch, pod) {
                Ok(patch) => (Response::allow_patched(uid, patch, warnings), record),
                Err(error) => {
                    let code = admission::PATCH_DOES_NOT_APPLY;
                    let message = with_hint(format!("[{code}] {}: {error}", code.entry().title));
                    (Response::deny(uid, Denial::Internal, message), Record::error(code, error))
                }
            }
        }
        inject::Outcome::Refused(problems) => {
            let (denial, message) = refusal(&problems);
            let codes = problems.iter().map(|problem| problem.code).collect();
            let record = Record { codes, ..Record::new(Outcome::Rejected) };
            (Response::deny(uid, denial, message), record)
        }
    }
}

/// The patch's JSON, once it has been seen to apply.
fn try_patch(patch: &Patch, pod: &Document<'_>) -> Result<Vec<u8>, String> {
    inject::rehearse(pod, patch).map_err(|error| {
        // By number and place: the error's own text is not ours to vouch for.
        one_line(&error.to_string())
    })?;
    serde_json::to_vec(patch).map_err(|_| "it is no JSON".to_owned())
}

#[cfg(test)]
mod tests {
    use json_patch::jsonptr::PointerBuf;
    use serde_json::{Value, json};

    use super::*;
    use crate::codes::admission::{MALFORMED, TOO_LARGE};
    use crate::inject::{Problem, Warning, json::Json, patch::Operation};

    fn outcome(outcome: inject::Outcome) -> (Value, Record) {
        let pod = json!({"metadata": {"generateName": "shop-5d-"}, "spec": {"containers": []}});
        let (response, record) = respond("u-1", outcome, &Document::from(pod));
        let body: Value = serde_json::from_slice(&response.into_body().unwrap()).unwrap();
        assert_eq!(body["response"]["uid"], "u-1");
        (body["response"].clone(), record)
    }

    fn add(path: &str, value: Json<'static>) -> Patch {
        let path = PointerBuf::parse(path).unwrap();
        Patch(vec![Operation::Add { path, value }])
    }

    #[test]
    fn skipped_pods_are_allowed_as_they_are() {
        let (response, record) =
            outcome(inject::Outcome::Skipped { warnings: vec![Warning::new(MALFORMED, "it", "mind this")] });
        assert_eq!(
            response,
            json!({"uid": "u-1", "allowed": true, "warnings": [format!("[{MALFORMED}] mind this")]})
        );
        assert_eq!(record.outcome, Outcome::Skipped);
    }

    #[test]
    fn injected_pods_get_their_patch() {
        let patch = add("/metadata/labels", Json::object([("a", "b".into())]));
        let (response, record) = outcome(inject::Outcome::Injected { patch, warnings: Vec::new() });
        let sent = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            response["patch"].as_str().unwrap(),
        );
        assert_eq!(
            serde_json::from_slice::<Value>(&sent.unwrap()).unwrap(),
            json!([{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}])
        );
        assert_eq!((&response["allowed"], &response["patchType"]), (&json!(true), &json!("JSONPatch")));
        assert_eq!(record.outcome, Outcome::Injected);
    }

    #[test]
    fn an_empty_patch_is_not_sent() {
        let (response, record) =
            outcome(inject::Outcome::Injected { patch: Patch(Vec::new()), warnings: Vec::new() });
        assert_eq!(response, json!({"uid": "u-1", "allowed": true}));
        assert_eq!(record.outcome, Outcome::Injected);
    }

    #[test]
    fn a_patch_that_does_not_apply_is_denied_as_our_defect() {
        let patch = add("/spec/initContainers/0", Json::object([("env", "planted".into())]));
        let (response, record) = outcome(inject::Outcome::Injected { patch, warnings: Vec::new() });
        assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(500)));
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.contains("ESC910") && message.contains("/spec/initContainers/0"), "{message}");
        assert!(!message.contains("planted") && response.get("patch").is_none());
        assert!(record.outcome == Outcome::Error && record.is_our_defect());
    }

    #[test]
    fn refusals_list_every_problem_on_its_own_line() {
        let invalid = Problem::invalid(MALFORMED, "annotation a", "no\ngood");
        let forbidden = Problem::forbidden(TOO_LARGE, "annotation b", "not allowed");
        let (response, record) = outcome(inject::Outcome::Refused(vec![invalid.clone(), forbidden]));
        assert_eq!(
            response["status"],
            json!({"code": 403, "reason": "Forbidden", "message": "[ESC902] annotation a: no good\n\
                [ESC903] annotation b: not allowed\n\
                More: esc-injector explain ESC902 ESC903"})
        );
        assert_eq!(record.outcome, Outcome::Rejected);
        assert_eq!(record.codes, [MALFORMED, TOO_LARGE]);
        let (response, _) = outcome(inject::Outcome::Refused(vec![invalid]));
        assert_eq!(response["status"]["code"], 422);
    }
}
