//! A small CloudDrive2 on loopback, for these tests only: gRPC and HTTP on one port. What it does
//! with an upload is a script of the test.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use tokio::sync::{Notify, mpsc};
use tonic::Status;

use super::super::message::MoveFileRequest;
use super::super::upload_message::*;

/// The token that is accepted.
pub const TOKEN: &str = "good";

/// An entry of the tree.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub bytes: Option<Vec<u8>>,
    pub seconds: i64,
}

/// What the server has and has seen.
#[derive(Default)]
pub struct Seen {
    pub tree: BTreeMap<String, Entry>,
    /// Methods in the order they were called.
    pub calls: Vec<String>,
    /// Statuses to answer instead, by method.
    pub faults: HashMap<&'static str, VecDeque<Fault>>,
    pub token: String,
    pub logins: u32,
    pub devices: Vec<String>,
    pub channel: Option<mpsc::UnboundedSender<RemoteUploadChannelReply>>,
    pub starts: Vec<StartRemoteUploadRequest>,
    pub data: Vec<RemoteReadDataUpload>,
    pub reports: Vec<RemoteHashProgressUpload>,
    pub controls: Vec<(String, Control)>,
    pub uploads: Vec<UploadFileInfo>,
    pub moves: Vec<MoveFileRequest>,
    pub forced: Vec<bool>,
    /// The answer to the next rename, instead of doing it.
    pub renamed_to: Option<String>,
    pub direct: Option<String>,
    pub agents: Vec<String>,
}

/// What goes wrong with a call.
pub enum Fault {
    /// Answered without being carried out.
    Instead(Status),
    /// Carried out, and the answer is this.
    After(Status),
    /// A page of a proxy.
    WebPage,
    /// `success = false` with this text.
    Refuse(&'static str),
}

type Script = dyn Fn(Arc<Stand>, String, StartRemoteUploadRequest) -> Pin<Box<dyn Future<Output = ()> + Send>>
    + Send
    + Sync;

/// The server.
pub struct Stand {
    pub base: String,
    seen: Mutex<Seen>,
    pub changed: Notify,
    script: Box<Script>,
    server: Mutex<Option<tokio::task::AbortHandle>>,
}

impl Stand {
    /// A server that does `script` with every upload.
    pub async fn start<F, Fut>(script: F) -> Arc<Stand>
    where
        F: Fn(Arc<Stand>, String, StartRemoteUploadRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stand = Arc::new(Stand {
            base,
            seen: Mutex::new(Seen {
                token: TOKEN.to_owned(),
                ..Seen::default()
            }),
            changed: Notify::new(),
            script: Box::new(move |stand, id, start| Box::pin(script(stand, id, start))),
            server: Mutex::new(None),
        });
        for dir in ["/115", "/115/d", "/115/e", "/pikpak"] {
            stand.put_dir(dir);
        }
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(stand.clone());
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let server = tonic::transport::Server::builder()
            .accept_http1(true)
            .serve_with_incoming(router, incoming);
        let task = tokio::spawn(async move { server.await.unwrap() });
        *stand.server.lock().unwrap() = Some(task.abort_handle());
        stand
    }

    /// A server without uploads.
    pub async fn quiet() -> Arc<Stand> {
        Stand::start(|_, _, _| async {}).await
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    pub fn put_dir(&self, path: &str) {
        let entry = Entry {
            bytes: None,
            seconds: 1_700_000_000,
        };
        self.seen().tree.insert(path.to_owned(), entry);
    }

    pub fn put(&self, path: &str, bytes: &[u8]) {
        let entry = Entry {
            bytes: Some(bytes.to_vec()),
            seconds: 1_700_000_001,
        };
        self.seen().tree.insert(path.to_owned(), entry);
    }

    pub fn fault(&self, method: &'static str, fault: Fault) {
        self.seen()
            .faults
            .entry(method)
            .or_default()
            .push_back(fault);
    }

    /// How often a method was called.
    pub fn count(&self, method: &str) -> usize {
        let seen = self.seen();
        seen.calls.iter().filter(|call| *call == method).count()
    }

    /// Sends an event to the client, when it listens.
    pub fn say(&self, id: &str, asked: Asked) {
        let reply = RemoteUploadChannelReply {
            upload_id: id.to_owned(),
            request: Some(asked),
        };
        if let Some(channel) = &self.seen().channel {
            let _ = channel.send(reply);
        }
    }

    pub fn ask(&self, id: &str, offset: u64, length: u64, lazy_read: bool) {
        let asked = RemoteReadDataRequest {
            offset,
            length,
            lazy_read,
        };
        self.say(id, Asked::Read(asked));
    }

    pub fn ask_hash(&self, id: &str, hash_type: u32, block_size: Option<u32>) {
        let asked = RemoteHashDataRequest {
            hash_type,
            block_size,
        };
        self.say(id, Asked::Hash(asked));
    }

    pub fn status(&self, id: &str, status: i32, message: &str) {
        {
            let mut seen = self.seen();
            if let Some(upload) = seen.uploads.iter_mut().find(|upload| upload.key == id) {
                upload.status_enum = status;
                upload.error_message = message.to_owned();
            }
        }
        let changed = RemoteUploadStatusChanged {
            status,
            error_message: message.to_owned(),
        };
        self.say(id, Asked::Status(changed));
    }

    /// Ends the channel.
    pub fn cut(&self) {
        self.seen().channel = None;
    }

    /// Waits until something is so.
    pub async fn until(&self, is: impl Fn(&Seen) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if is(&self.seen()) {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
        waited.expect("the client does not do it");
    }

    /// The bytes that came for an upload, put together; `None` while some are missing.
    pub fn received(seen: &Seen, id: &str, size: u64) -> Option<Vec<u8>> {
        let size = usize::try_from(size).unwrap();
        let mut bytes = vec![None; size];
        for piece in seen.data.iter().filter(|piece| piece.upload_id == id) {
            let at = usize::try_from(piece.offset).unwrap();
            assert_eq!(piece.length, piece.data.len() as u64);
            for (slot, byte) in bytes.iter_mut().skip(at).zip(&piece.data) {
                *slot = Some(*byte);
            }
        }
        bytes.into_iter().collect()
    }

    /// Publishes what came and says that it is finished.
    pub fn finish(&self, id: &str, start: &StartRemoteUploadRequest) {
        let bytes = Stand::received(&self.seen(), id, start.file_size).unwrap();
        self.put(&start.file_path, &bytes);
        self.status(id, 5, "");
    }

    /// Runs the script of an upload that was just started.
    pub fn run(self: &Arc<Self>, id: String, start: StartRemoteUploadRequest) {
        tokio::spawn((self.script)(self.clone(), id, start));
    }

    pub fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen());
        self.changed.notify_waiters();
    }
}

async fn answer(State(stand): State<Arc<Stand>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let Some(method) = path.strip_prefix("/clouddrive.CloudDriveFileSrv/") else {
        return download(&stand, &path, &request);
    };
    let method = method.to_owned();
    let bearer = request
        .headers()
        .get("authorization")
        .map_or("", |value| value.to_str().unwrap())
        .to_owned();
    let fault = {
        let mut seen = stand.seen();
        seen.calls.push(method.clone());
        let allowed = bearer == format!("Bearer {}", seen.token) || method == "GetToken";
        let fault = seen
            .faults
            .get_mut(method.as_str())
            .and_then(VecDeque::pop_front);
        match allowed {
            true => fault,
            false => Some(Fault::Instead(Status::unauthenticated("who are you"))),
        }
    };
    stand.changed.notify_waiters();
    match fault {
        Some(Fault::Instead(status)) => status.into_http(),
        Some(Fault::WebPage) => Response::new(Body::from("<html>hello</html>")),
        Some(Fault::Refuse(text)) => super::methods::refuse(&method, request, text).await,
        Some(Fault::After(status)) => {
            let _ = super::methods::carry_out(&stand, &method, request).await;
            status.into_http()
        }
        None => super::methods::carry_out(&stand, &method, request).await,
    }
}

fn download(stand: &Stand, path: &str, request: &Request) -> Response {
    let mut seen = stand.seen();
    let agent = request.headers().get("user-agent");
    let agent = agent.map_or("", |agent| agent.to_str().unwrap()).to_owned();
    seen.agents.push(agent);
    let plain = |status: u16| {
        Response::builder()
            .status(status)
            .body(Body::empty())
            .unwrap()
    };
    let path = percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .unwrap()
        .into_owned();
    let host = stand.base.trim_start_matches("http://");
    let Some(file) = path.strip_prefix(&format!("/static/http/{host}/false")) else {
        return plain(403);
    };
    if request.uri().query() != Some("token=t") {
        return plain(401);
    }
    let Some(bytes) = seen.tree.get(file).and_then(|entry| entry.bytes.clone()) else {
        return plain(404);
    };
    let range = request.headers()["range"].to_str().unwrap();
    let (start, end) = range
        .trim_start_matches("bytes=")
        .split_once('-')
        .map(|(a, b)| (a.parse::<usize>().unwrap(), b.parse::<usize>().unwrap()))
        .unwrap();
    Response::builder()
        .status(206)
        .header(
            "content-range",
            format!("bytes {start}-{end}/{}", bytes.len()),
        )
        .body(Body::from(bytes[start..=end].to_vec()))
        .unwrap()
}
