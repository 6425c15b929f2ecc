//! Where a request points: URL paths, percent-encoding, `Destination`.

use super::errors::DavError;

/// A place below an account's own URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// The account's URL path as the client wrote it, without a slash at its end.
    pub base: String,
    /// Decoded names below it; none for the account's root.
    pub names: Vec<String>,
    /// Whether the path ends with a slash.
    pub slash: bool,
}

impl Address {
    /// Path inside the account, `/a/b`.
    pub fn path(&self) -> String {
        format!("/{}", self.names.join("/"))
    }

    /// The last name; empty for the root.
    pub fn name(&self) -> &str {
        self.names.last().map_or("", String::as_str)
    }

    /// Path of the directory it lies in.
    pub fn parent(&self) -> String {
        let above = self.names.len().saturating_sub(1);
        let above: Vec<&str> = self.names.iter().take(above).map(String::as_str).collect();
        format!("/{}", above.join("/"))
    }
}

/// The name in a piece of a path. Strict: bytes that a URL may not have are refused, as are
/// half escapes and what is not UTF-8.
pub(super) fn decode(raw: &str) -> Result<String, DavError> {
    let bad = || DavError::new(400, "the path is not a valid percent-encoded UTF-8 path");
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes().iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let value = high.zip(low).map(|(high, low)| high * 16 + low);
                bytes.push(value.and_then(|v| u8::try_from(v).ok()).ok_or_else(bad)?);
            }
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => return Err(bad()),
            0x21..=0x7e => bytes.push(*byte),
            _ => return Err(bad()),
        }
    }
    let name = String::from_utf8(bytes).map_err(|_| bad())?;
    if name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(bad());
    }
    Ok(name)
}

/// Reads what follows an account's URL path. Doubled slashes count as one.
pub(super) fn below(base: &str, rest: &str) -> Result<Address, DavError> {
    let names: Result<Vec<String>, DavError> = rest
        .split('/')
        .filter(|piece| !piece.is_empty())
        .map(decode)
        .collect();
    Ok(Address {
        base: base.to_owned(),
        names: names?,
        slash: rest.is_empty() || rest.ends_with('/'),
    })
}

/// How hrefs are written: the words of the setting `href`.
#[derive(Clone, Debug, Default)]
pub(super) struct HrefStyle {
    /// `http://HOST` in front, or empty.
    pub origin: String,
    /// Lower-case hex digits.
    pub lower: bool,
    /// All that a path may carry as it is stays as it is (`&`, `+`, `:` ...).
    pub loose: bool,
    /// Two slashes at the start.
    pub double_slash: bool,
    /// Collections without a slash at the end.
    pub no_slash: bool,
}

impl HrefStyle {
    /// Reads the setting.
    pub fn read(words: &str, base: &str) -> HrefStyle {
        let has = |word: &str| words.split([',', ' ']).any(|known| known == word);
        HrefStyle {
            origin: if has("absolute") { base } else { "" }.to_owned(),
            lower: has("lower"),
            loose: has("loose"),
            double_slash: has("double_slash"),
            no_slash: has("no_slash"),
        }
    }

    fn encode(&self, name: &str, out: &mut String) {
        let keep: &[u8] = match self.loose {
            true => b"-._~!$&'()*+,;=:@",
            false => b"-._~",
        };
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || keep.contains(&byte) {
                out.push(char::from(byte));
            } else if self.lower {
                *out += &format!("%{byte:02x}");
            } else {
                *out += &format!("%{byte:02X}");
            }
        }
    }

    /// The href of a path (`/a/b`) below `base`.
    pub fn href(&self, base: &str, path: &str, dir: bool) -> String {
        let mut out = self.origin.clone();
        if self.double_slash {
            out.push('/');
        }
        out += base;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            out.push('/');
            self.encode(name, &mut out);
        }
        if dir && !self.no_slash {
            out.push('/');
        }
        out
    }
}

/// Splits an absolute URL into host (with port) and path. Query, fragment and user parts are
/// not for `Destination`.
pub(super) fn split_url(url: &str) -> Result<(&str, &str), DavError> {
    let bad = |why: &str| DavError::new(400, &format!("Destination: {why}"));
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
        .ok_or_else(|| bad("not an absolute URL"))?;
    if url.contains(['?', '#']) {
        return Err(bad("query or fragment"));
    }
    let at = rest.find('/').ok_or_else(|| bad("no path"))?;
    let (host, path) = rest.split_at(at);
    if host.is_empty() || host.contains('@') {
        return Err(bad("host"));
    }
    Ok((host, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_from_their_encoding() {
        let name = "a b+c&d%#?é汉\u{1f600};=:@'\"";
        for words in ["", "lower", "loose,lower"] {
            let style = HrefStyle::read(words, "http://h");
            let href = style.href("/dav/u", &format!("/x/{name}"), true);
            assert!(href.is_ascii() && !href.contains(' '), "{href}");
            let rest = href.strip_prefix("/dav/u").unwrap();
            let address = below("/dav/u", rest).unwrap();
            assert_eq!(address.names, ["x", name], "{words}");
            assert!(address.slash);
            assert_eq!((address.name(), address.parent()), (name, "/x".to_owned()));
        }
        let style = HrefStyle::read("absolute no_slash", "http://h:1");
        assert_eq!(style.href("/dav/u", "/", true), "http://h:1/dav/u");
        let style = HrefStyle::read("double_slash", "");
        assert_eq!(style.href("/dav/u", "/é", false), "//dav/u/%C3%A9");
    }

    #[test]
    fn bad_paths_are_refused() {
        for raw in [
            "%", "%4", "%zz", "%ff", "a b", "é", "%2e%2e", "..", "a%2Fb", "%00", "{x}",
        ] {
            assert_eq!(decode(raw).unwrap_err().status(), 400, "{raw}");
        }
        assert_eq!(decode("%2e").unwrap_err().status(), 400);
        assert_eq!(decode("a+b%2B").unwrap(), "a+b+");
        assert_eq!(below("/dav/u", "//a//b").unwrap().path(), "/a/b");
        assert!(below("/dav/u", "").unwrap().slash);
    }

    #[test]
    fn destinations_are_absolute_urls() {
        assert_eq!(split_url("http://h:1/a%20b").unwrap(), ("h:1", "/a%20b"));
        for url in [
            "/dav/u/a",
            "ftp://h/a",
            "http://h",
            "http://h/a?b",
            "http://u@h/a",
        ] {
            assert_eq!(split_url(url).unwrap_err().status(), 400, "{url}");
        }
    }
}
