//! Who may come in.

use super::super::auth::digest_response;
use super::*;

#[tokio::test]
async fn basic_logins_are_checked() {
    let dav = Dav::new();
    dav.seed("/a", b"1");
    let refused = dav.send(dav.bare("GET", "/a")).await;
    assert_eq!(refused.status, 401);
    assert!(
        refused
            .header("www-authenticate")
            .starts_with("Basic realm=")
    );
    let wrong = dav.bare("GET", "/a").basic_auth("user1", Some("guess"));
    assert_eq!(dav.send(wrong).await.status, 401);
    assert_eq!(dav.status("GET", "/a", &[]).await, 200);
    let other = Dav::of(dav.world.clone(), "webdav-2");
    let stranger = dav.bare("GET", "/a").basic_auth(
        &other.profile.fields["username"],
        other.profile.secrets.get("password"),
    );
    assert_eq!(dav.send(stranger).await.status, 401);
    assert_eq!(other.status("GET", "/a", &[]).await, 404);
    assert_eq!(dav.stat().count("unauthorized"), 3);
    assert_eq!(dav.stat().count("download"), 4);
    dav.fault("download", FaultKind::ExpireToken, "");
    assert_eq!(dav.status("GET", "/a", &[]).await, 401);
    assert_eq!(dav.status("GET", "/a", &[]).await, 200);
}

#[tokio::test]
async fn a_refused_upload_is_not_kept() {
    let dav = Dav::new();
    let put = dav.bare("PUT", "/a").body("never");
    assert_eq!(dav.send(put).await.status, 401);
    assert_eq!(dav.stored("/a"), None);
}

/// One challenge, taken apart.
struct Challenge {
    nonce: String,
    opaque: String,
    algorithm: String,
    stale: bool,
}

fn challenge(got: &Got) -> Challenge {
    assert_eq!(got.status, 401);
    let all = got.headers.get_all("www-authenticate").iter();
    let line = all
        .map(|value| value.to_str().unwrap())
        .find(|line| line.starts_with("Digest "))
        .expect("a digest challenge");
    let part = |name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=")).unwrap();
        let end = rest.trim_start_matches('"').find(['"', ',']);
        rest.trim_start_matches('"')[..end.unwrap()].to_owned()
    };
    assert!(line.contains("qop=\"auth\""));
    Challenge {
        nonce: part("nonce"),
        opaque: part("opaque"),
        algorithm: part("algorithm"),
        stale: line.contains("stale=true"),
    }
}

impl Dav {
    fn digest_line(&self, challenge: &Challenge, method: &str, path: &str, nc: &str) -> String {
        let user = &self.profile.fields["username"];
        let password = &self.profile.secrets["password"];
        let (_, host_path) = self.url.split_once("://").unwrap();
        let (_, base) = host_path.split_once('/').unwrap();
        let uri = format!("/{base}{path}");
        let response = digest_response(
            &challenge.algorithm,
            (user, "panfuse simulator", password),
            (method, &uri),
            (&challenge.nonce, nc, "c0ffee"),
        );
        format!(
            "Digest username=\"{user}\", realm=\"panfuse simulator\", nonce=\"{}\", uri=\"{uri}\", \
             algorithm={}, qop=auth, nc={nc}, cnonce=\"c0ffee\", opaque=\"{}\", \
             response=\"{response}\"",
            challenge.nonce, challenge.algorithm, challenge.opaque
        )
    }

    async fn with_line(&self, method: &str, path: &str, line: &str) -> Got {
        let ask = self.bare(method, path).header("Authorization", line);
        self.send(ask).await
    }
}

#[tokio::test]
async fn digest_logins_are_computed_again() {
    for algorithm in ["MD5", "SHA-256"] {
        let dav = Dav::with(&[("auth", "digest"), ("digest_algorithm", algorithm)]);
        assert_eq!(dav.profile.auth_mode, "digest");
        dav.seed("/a b", b"1");
        let first = challenge(&dav.send(dav.bare("GET", "/a%20b")).await);
        assert_eq!((first.algorithm.as_str(), first.stale), (algorithm, false));
        let line = dav.digest_line(&first, "GET", "/a%20b", "00000001");
        assert_eq!(dav.with_line("GET", "/a%20b", &line).await.status, 200);
        // The same count again is a request that was recorded.
        let replayed = dav.with_line("GET", "/a%20b", &line).await;
        assert!(challenge(&replayed).stale);
        // Counts may overtake each other.
        for nc in ["00000003", "00000002"] {
            let line = dav.digest_line(&first, "GET", "/a%20b", nc);
            assert_eq!(dav.with_line("GET", "/a%20b", &line).await.status, 200);
        }
        // Another method, another path, a changed response.
        let line = dav.digest_line(&first, "PUT", "/a%20b", "00000004");
        assert!(!challenge(&dav.with_line("GET", "/a%20b", &line).await).stale);
        let line = dav.digest_line(&first, "GET", "/other", "00000005");
        assert_eq!(dav.with_line("GET", "/a%20b", &line).await.status, 401);
        let line = dav.digest_line(&first, "GET", "/a%20b", "00000006");
        let line = line.replace("response=\"", "response=\"0");
        assert_eq!(dav.with_line("GET", "/a%20b", &line).await.status, 401);
        // Basic is not what this server takes.
        assert_eq!(dav.status("GET", "/a%20b", &[]).await, 401);
    }
}

#[tokio::test]
async fn nonces_grow_old() {
    let dav = Dav::with(&[("auth", "digest"), ("nonce_seconds", "60")]);
    dav.seed("/a", b"1");
    let first = challenge(&dav.send(dav.bare("GET", "/a")).await);
    dav.world.clock_advance(60_001);
    let line = dav.digest_line(&first, "GET", "/a", "00000001");
    let second = challenge(&dav.with_line("GET", "/a", &line).await);
    assert!(second.stale && second.nonce != first.nonce);
    let line = dav.digest_line(&second, "GET", "/a", "00000001");
    assert_eq!(dav.with_line("GET", "/a", &line).await.status, 200);
    dav.fault("download", FaultKind::ExpireToken, "");
    let line = dav.digest_line(&second, "GET", "/a", "00000002");
    let third = challenge(&dav.with_line("GET", "/a", &line).await);
    assert!(third.stale);
    dav.set("nonce_uses", "1");
    for (nc, status) in [("00000001", 200), ("00000002", 401)] {
        let line = dav.digest_line(&third, "GET", "/a", nc);
        assert_eq!(dav.with_line("GET", "/a", &line).await.status, status);
    }
}

#[tokio::test]
async fn both_ways_bearer_and_none() {
    let dav = Dav::with(&[("auth", "digest+basic")]);
    dav.seed("/a", b"1");
    let refused = dav.send(dav.bare("GET", "/a")).await;
    let ways: Vec<_> = refused.headers.get_all("www-authenticate").iter().collect();
    assert!(ways[0].to_str().unwrap().starts_with("Digest "));
    assert!(ways[1].to_str().unwrap().starts_with("Basic "));
    assert_eq!(dav.status("GET", "/a", &[]).await, 200);

    dav.set("auth", "bearer");
    let profile = dav.world.profile("webdav").unwrap();
    assert_eq!(
        (profile.auth_mode.as_str(), profile.fields.len()),
        ("bearer", 0)
    );
    assert_eq!(dav.status("GET", "/a", &[]).await, 401);
    let token = &profile.secrets["token"];
    let good = dav.bare("GET", "/a").bearer_auth(token);
    assert_eq!(dav.send(good).await.status, 200);
    let bad = dav.send(dav.bare("GET", "/a").bearer_auth("guess")).await;
    assert!(bad.header("www-authenticate").contains("invalid_token"));

    dav.set("auth", "none");
    assert_eq!(dav.send(dav.bare("GET", "/a")).await.status, 200);
    let profile = dav.world.profile("webdav").unwrap();
    assert_eq!(
        (profile.auth_mode.as_str(), profile.secrets.len()),
        ("none", 0)
    );
}
