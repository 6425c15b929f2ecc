//! Share links (sheet section 4.9): a service of the open platform that an app has to buy, so that
//! it wants an access token and the app's id.

use serde_json::json;

use super::api::Api;
use super::list::{ROOT, entry_of, is_path};
use crate::drive::{DriveError, ErrorKind, LinkWish, Node, Result, ShareLink, decode};

/// Longest life in days.
const DAYS_MAX: u32 = 365;

/// Characters of a code.
const CODE_LENGTH: usize = 4;

/// What codes are made of.
const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

fn invalid(message: impl Into<String>) -> DriveError {
    DriveError::new(ErrorKind::Invalid, message)
}

/// Makes a link. The call is sent once: a second one would be a second link.
pub async fn create(api: &Api, node: &Node, wish: &LinkWish) -> Result<ShareLink> {
    let app = api.app_id();
    if app.is_empty() {
        return Err(invalid(
            "share links need the AppID of your app: set the field app_id of the profile",
        ));
    }
    if !(1..=DAYS_MAX).contains(&wish.days) {
        return Err(invalid(format!(
            "a link lives 1 to {DAYS_MAX} days at Baidu, not {}",
            wish.days
        )));
    }
    let code = match &wish.code {
        Some(code) if is_code(code) => code.clone(),
        Some(_) => {
            return Err(invalid(format!(
                "a code has {CODE_LENGTH} characters at Baidu, digits and lower-case letters"
            )));
        }
        None => drawn()?,
    };
    let id = match is_path(&node.id) {
        _ if node.id.as_str() == ROOT => {
            return Err(invalid(
                "the whole drive cannot be shared; name a directory",
            ));
        }
        true => entry_of(api, &node.id).await?.id,
        false => node.id.as_str().to_owned(),
    };
    // Texts, unlike everywhere else.
    let ids = json!([id]).to_string();
    let days = wish.days.to_string();
    let request = api
        .post("share_create", "mutate", "/apaas/1.0/share/set")
        .query("product", "netdisk")
        .query("appid", app)
        .form(&[
            ("fsid_list", ids.as_str()),
            ("period", days.as_str()),
            ("pwd", code.as_str()),
            ("remark", ""),
        ]);
    let answer = api.attempt(request).await.map_err(explained)?;
    let data = &answer["data"];
    let short = decode::nonempty(&data["short_url"]);
    let link = decode::nonempty(&data["link"])
        .or_else(|| Some(format!("https://pan.baidu.com/s/{}", short.as_ref()?)))
        .ok_or_else(|| DriveError::bad_answer("share_create", "no link"))?;
    Ok(ShareLink {
        id: decode::nonempty(&data["share_id"])
            .or(short)
            .unwrap_or_default(),
        link,
        code: decode::nonempty(&data["pwd"]).unwrap_or(code),
        days: decode::unsigned(&data["period"])
            .and_then(|days| u32::try_from(days).ok())
            .unwrap_or(wish.days),
    })
}

fn is_code(code: &str) -> bool {
    code.len() == CODE_LENGTH && code.bytes().all(|letter| LETTERS.contains(&letter))
}

/// A code that nobody guesses.
fn drawn() -> Result<String> {
    let mut code = String::with_capacity(CODE_LENGTH);
    while code.len() < CODE_LENGTH {
        let drawn = getrandom::u32()
            .map_err(|error| DriveError::new(ErrorKind::LocalDisk, format!("random: {error}")))?;
        // 252 is the largest multiple of 36 in a byte: no letter is more likely than another.
        for byte in drawn.to_le_bytes().into_iter().filter(|byte| *byte < 252) {
            if code.len() < CODE_LENGTH
                && let Some(letter) = LETTERS.get(usize::from(byte % 36))
            {
                code.push(char::from(*letter));
            }
        }
    }
    Ok(code)
}

/// What a person needs to know beside the service's words.
fn explained(error: DriveError) -> DriveError {
    let more = match error.code.as_deref() {
        Some("13998") => {
            "share links are a paid service of Baidu's open platform, and this app has not bought it; \
             make the link in a browser or in Baidu's app"
        }
        Some("-40001" | "-40002") => "the service refuses these days or this code",
        _ => return error,
    };
    let message = format!("{}; {more}", error.message);
    DriveError { message, ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_four_digits_or_small_letters() {
        for good in ["0000", "a1b2", "zzzz"] {
            assert!(is_code(good), "{good}");
        }
        for bad in ["", "abc", "abcde", "ABCD", "ab-1", "äb1"] {
            assert!(!is_code(bad), "{bad}");
        }
        let drawn: Vec<String> = (0..50).map(|_| drawn().unwrap()).collect();
        assert!(drawn.iter().all(|code| is_code(code)));
        assert!(drawn.iter().any(|code| *code != drawn[0]));
    }
}
