//! What answers look like (sheet section 3.7): five JSON envelopes and an XML one, told apart by
//! their fields whatever the HTTP status.

use std::time::Duration;

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use serde_json::{Map, Value};

use super::error::{no_envelope, refusal};
use crate::drive::{DriveError, ErrorKind, Result, decode};

/// What the head of an answer says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head {
    pub status: u16,
    /// `Retry-After`.
    pub pause: Option<Duration>,
    /// The server's clock, milliseconds since the epoch.
    pub date_ms: Option<i64>,
}

/// The answer itself when it is a success.
///
/// # Errors
/// What the code in the envelope, or else the status or the page stands for.
pub fn judge(op: &str, head: Head, body: &[u8]) -> Result<Value> {
    let Some(answer) = document(body) else {
        return Err(no_envelope(op, head, body));
    };
    if let Some((code, message)) = failure(&answer) {
        let mut error = refusal(op, head, &code, &message);
        // The task that is running already comes along (section 4.5).
        if let Some(task) = decode::nonempty(&answer["taskId"]) {
            error.message.push_str(&format!(" (task {task})"));
        }
        return Err(error);
    }
    if !(200..300).contains(&head.status) {
        return Err(no_envelope(op, head, body));
    }
    Ok(answer)
}

/// The object of an answer in JSON or XML. The children of an XML root are its fields; a document
/// whose root is `error` has them below `error`.
fn document(body: &[u8]) -> Option<Value> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match serde_json::from_slice::<Value>(body) {
        Ok(answer @ Value::Object(_)) => return Some(answer),
        Ok(_) => return None,
        Err(_) => {}
    }
    let text = std::str::from_utf8(body).ok()?;
    let (root, fields) = xml(text)?;
    match root.to_ascii_lowercase().as_str() {
        "html" | "body" | "head" => None,
        "error" => Some(Value::Object(Map::from_iter([(
            "error".to_owned(),
            fields,
        )]))),
        _ if fields.is_object() => Some(fields),
        _ => None,
    }
}

/// Code and message of a failure, checked in the order of the sheet.
pub fn failure(answer: &Value) -> Option<(String, String)> {
    let message = |keys: &[&str]| {
        keys.iter()
            .find_map(|key| decode::nonempty(&answer[*key]))
            .unwrap_or_default()
    };
    let all = ["res_message", "msg", "message", "errorMsg", "res_msg"];
    match &answer["res_code"] {
        Value::Null => {}
        code => {
            let code = decode::text(code);
            if !matches!(code.as_str(), "" | "0") {
                return Some((code, message(&all)));
            }
        }
    }
    // An object of the service may have a field `code` of another meaning: only texts are codes.
    if let Value::String(code) = &answer["code"]
        && !matches!(code.as_str(), "" | "0")
        && !code.eq_ignore_ascii_case("SUCCESS")
    {
        return Some((code.clone(), message(&all)));
    }
    if let Some(code) = decode::nonempty(&answer["errorCode"]).filter(|code| code != "0") {
        return Some((
            code,
            message(&["errorMsg", "message", "msg", "res_message"]),
        ));
    }
    match &answer["error"] {
        Value::Object(fields) => {
            let of = |key: &str| fields.get(key).map(decode::text).unwrap_or_default();
            return Some((of("code"), of("message")));
        }
        Value::String(code) if !code.is_empty() => {
            return Some((code.clone(), message(&["message", "msg"])));
        }
        _ => {}
    }
    match &answer["success"] {
        Value::Null => None,
        success if decode::flag(success) => None,
        _ => Some((String::new(), message(&all))),
    }
}

/// The answer of the login host: `result` 0 is a success (section 3.7).
///
/// # Errors
/// `Auth` for a refusal that it explains.
pub fn judge_login(op: &str, head: Head, body: &[u8]) -> Result<Value> {
    let Some(answer) = document(body) else {
        return Err(no_envelope(op, head, body));
    };
    let result = decode::text(&answer["result"]);
    if !matches!(result.as_str(), "" | "0") {
        let message = ["msg", "message", "resultMsg"]
            .iter()
            .find_map(|key| decode::nonempty(&answer[*key]))
            .unwrap_or_default();
        let message: String = message.chars().take(120).collect();
        return Err(DriveError::new(
            ErrorKind::Auth,
            format!("{op}: {}", crate::net::redact_text(&message)),
        )
        .code(result));
    }
    judge(op, head, body)
}

/// Deeper documents are not the service's.
const MAX_DEPTH: usize = 16;

/// Name and content of the root: a text, or an object of its children where several of one name
/// are a list. `None` when the text is no document.
fn xml(text: &str) -> Option<(String, Value)> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<(String, String, Map<String, Value>)> = Vec::new();
    let mut root = None;
    loop {
        let (name, value) = match reader.read_event().ok()? {
            Event::Start(start) => {
                if open.len() >= MAX_DEPTH {
                    return None;
                }
                let name = start.local_name().as_ref().to_owned();
                open.push((name, String::new(), Map::new()));
                continue;
            }
            Event::Empty(empty) => {
                let name = empty.local_name().as_ref().to_owned();
                (name, Value::String(String::new()))
            }
            Event::End(_) => {
                let (name, text, fields) = open.pop()?;
                let value = if fields.is_empty() {
                    Value::String(text.trim().to_owned())
                } else {
                    Value::Object(fields)
                };
                (name, value)
            }
            Event::Text(text) => {
                if let Some((_, into, _)) = open.last_mut() {
                    into.push_str(&text.xml_content(XmlVersion::Implicit1_0));
                }
                continue;
            }
            Event::CData(data) => {
                if let Some((_, into, _)) = open.last_mut() {
                    into.push_str(&data.xml_content(XmlVersion::Implicit1_0));
                }
                continue;
            }
            Event::GeneralRef(reference) => {
                if let Some((_, into, _)) = open.last_mut() {
                    match reference.resolve_char_ref().ok()? {
                        Some(c) => into.push(c),
                        None => into.push_str(resolve_predefined_entity(&reference)?),
                    }
                }
                continue;
            }
            Event::Eof => return if open.is_empty() { root } else { None },
            _ => continue,
        };
        match open.last_mut() {
            Some((_, _, fields)) => match fields.get_mut(&name) {
                Some(Value::Array(list)) => list.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
                None => {
                    fields.insert(name, value);
                }
            },
            None => root = Some((name, value)),
        }
    }
}

/// One value or a list of them: XML has no lists of one.
pub fn many(value: &Value) -> &[Value] {
    match value {
        Value::Object(_) => std::slice::from_ref(value),
        other => decode::list(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::AccountEffect;
    use crate::net::Retry;

    fn of(status: u16, body: &str) -> Result<Value> {
        let head = Head {
            status,
            ..Head::default()
        };
        judge("test", head, body.as_bytes())
    }

    fn kind(status: u16, body: &str) -> ErrorKind {
        of(status, body).unwrap_err().kind
    }

    #[test]
    fn every_envelope_is_read_at_every_status() {
        for status in [200, 400, 403] {
            for body in [
                r#"{"res_code":"FileNotFound","res_message":"x"}"#,
                r#"{"code":"FileNotFound","msg":"x"}"#,
                r#"{"errorCode":"FileNotFound","errorMsg":"x"}"#,
                r#"{"error":"FileNotFound","message":"x"}"#,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><error><code>FileNotFound</code><message>x</message></error>",
            ] {
                let error = of(status, body).unwrap_err();
                assert_eq!(error.kind, ErrorKind::NotFound, "{body}");
                assert_eq!(error.code.as_deref(), Some("FileNotFound"), "{body}");
            }
        }
        assert_eq!(
            kind(200, r#"{"success":"false","msg":"x"}"#),
            ErrorKind::Provider
        );
        assert_eq!(
            kind(200, r#"{"res_code":-1,"res_message":"x"}"#),
            ErrorKind::Provider
        );
    }

    #[test]
    fn successes_are_not_mistaken() {
        for body in [
            r#"{"res_code":0,"res_message":"成功"}"#,
            r#"{"res_code":"0"}"#,
            r#"{"code":"SUCCESS","data":{}}"#,
            r#"{"success":"true"}"#,
            r#"{"uploadFileId":29909576,"fileDataExists":0}"#,
        ] {
            assert!(of(200, body).is_ok(), "{body}");
        }
    }

    #[test]
    fn a_file_in_xml_is_an_object() {
        let body = "<file><id>721451444444444444</id><name>a &amp; b.mkv</name><size>26214400</size>\
                    <md5>201A</md5><requestId/></file>";
        let file = of(200, body).unwrap();
        assert_eq!(file["id"], "721451444444444444");
        assert_eq!(file["name"], "a & b.mkv");
        assert_eq!(decode::unsigned(&file["size"]), Some(26_214_400));
        let list = of(
            200,
            "<l><f><id>1</id></f><f><id>2</id></f><g><id>3</id></g></l>",
        )
        .unwrap();
        assert_eq!((many(&list["f"]).len(), many(&list["g"]).len()), (2, 1));
    }

    #[test]
    fn pages_gateways_and_throttling() {
        assert_eq!(
            kind(200, "<html><body>hello</body></html>"),
            ErrorKind::BadAnswer
        );
        assert_eq!(
            kind(200, "<!DOCTYPE html><html><p>open"),
            ErrorKind::BadAnswer
        );
        assert_eq!(kind(404, "<html>nginx"), ErrorKind::BadAnswer);
        assert_eq!(kind(200, "[1]"), ErrorKind::BadAnswer);
        let blocked = of(403, "<html>blocked</html>").unwrap_err();
        assert_eq!(blocked.kind, ErrorKind::Risk);
        assert!(matches!(blocked.account, AccountEffect::CoolDown(_)));
        assert_eq!(of(502, "").unwrap_err().retry, Retry::Backoff);
        let head = Head {
            status: 429,
            pause: Some(Duration::from_secs(7)),
            date_ms: None,
        };
        let error = judge("test", head, b"").unwrap_err();
        assert_eq!(error.kind, ErrorKind::RateLimited);
        assert_eq!(error.retry, Retry::After(Duration::from_secs(7)));
    }

    #[test]
    fn the_login_host_has_an_envelope_of_its_own() {
        let head = Head {
            status: 200,
            ..Head::default()
        };
        let error = judge_login("refresh", head, br#"{"result":-117,"msg":"token"}"#).unwrap_err();
        assert_eq!(
            (error.kind, error.code.as_deref()),
            (ErrorKind::Auth, Some("-117"))
        );
        assert!(judge_login("x", head, br#"{"result":0,"data":{}}"#).is_ok());
        assert!(judge_login("x", head, br#"{"accessToken":"a"}"#).is_ok());
    }
}
