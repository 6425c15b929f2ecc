//! The one port: gRPC calls and the checks they pass, and plain HTTP for reading
//! (clouddrive2.md section 3).

use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use prost::Message;
use tonic::Status;
use tonic::server::{Grpc, ServerStreamingService, UnaryService};

use super::super::account::{Account, dropped};
use super::super::body::{BodyFaults, Unread, drain};
use super::super::faults::FaultKind;
use super::super::wire::Conn;
use super::CloudDrive2;
use super::auth::Access;
use super::codec::Protobuf;
use super::messages::{
    CreateFolderResult, FileOperationResult, GetTokenRequest, JwtToken, RemoteReadDataReply,
};
use super::methods::{Shape, find};

/// What a server takes in one message (section 3).
const MESSAGE_LIMIT: usize = 4 << 20;

/// A call that may be made.
#[derive(Clone)]
pub(super) struct Call {
    pub sim: Arc<CloudDrive2>,
    pub account: Arc<Account>,
    pub op: &'static str,
    pub access: Access,
    /// The connection it came by.
    pub conn: Option<Conn>,
}

/// A stream of answers.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(super) async fn entry(Shared(sim): Shared<Arc<CloudDrive2>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    match path.strip_prefix("/clouddrive.CloudDriveFileSrv/") {
        Some(method) => sim.rpc(method, request).await,
        None => super::download::entry(&sim, request).await,
    }
}

/// A header's text, empty when it is missing.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
        .trim()
}

/// A call that got no further than its status.
pub(super) fn refused(status: Status) -> Response {
    status.into_http::<Body>()
}

/// What is wrong with a request before anybody looks into it: gRPC is a POST over HTTP/2 with its
/// content type and `te: trailers`.
fn transport(request: &Request) -> Option<Response> {
    let headers = request.headers();
    let kind = header(headers, "content-type");
    if request.method() != Method::POST {
        return Some(StatusCode::METHOD_NOT_ALLOWED.into_response());
    }
    if kind != "application/grpc" && kind != "application/grpc+proto" {
        return Some(StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response());
    }
    if request.version() != Version::HTTP_2 {
        return Some(StatusCode::HTTP_VERSION_NOT_SUPPORTED.into_response());
    }
    if !header(headers, "te").eq_ignore_ascii_case("trailers") {
        return Some(refused(Status::internal("te: trailers is missing")));
    }
    None
}

/// Reads a request's body; the faults of the kit that strike inside it are applied. `None` when
/// the connection breaks here.
async fn collect(body: Body, faults: BodyFaults) -> Option<Bytes> {
    let length = body.size_hint().exact().unwrap_or(1 << 20);
    let mut faults = faults.for_length(length);
    let mut data = body.into_data_stream();
    let mut all = BytesMut::new();
    while let Some(step) = data.next().await {
        let mut rest = step.ok()?;
        while !rest.is_empty() {
            let passed = faults.pace(all.len() as u64, rest.len() as u64).await?;
            all.extend_from_slice(&rest.split_to(passed as usize));
        }
        if all.len() > MESSAGE_LIMIT + 4096 {
            break;
        }
    }
    Some(all.freeze())
}

/// Applies body faults to an answer. `cut` ends it with an error after so many bytes; the others
/// let it wait, because nobody sees half a message.
async fn shaped(response: Response, faults: BodyFaults, cut: Option<u64>) -> Response {
    let (parts, body) = response.into_parts();
    let length = body.size_hint().exact().unwrap_or(64 << 10);
    let mut faults = faults.for_length(length);
    let mut at = 0;
    while at < length {
        let Some(passed) = faults.pace(at, length - at).await else {
            break;
        };
        at += passed.max(1);
    }
    let Some(cut) = cut else {
        return Response::from_parts(parts, body);
    };
    let left = if cut == u64::MAX { length / 2 } else { cut };
    let data = Box::pin(body.into_data_stream());
    let steps = stream::unfold(Some((data, left)), |state| async {
        let (mut data, left) = state?;
        match data.next().await {
            Some(Ok(mut bytes)) if left > 0 => {
                bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - bytes.len() as u64;
                Some((Ok(bytes), Some((data, left))))
            }
            _ => Some((Err(broken()), None)),
        }
    });
    Response::from_parts(parts, Body::from_stream(steps))
}

pub(super) fn broken() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "injected cut")
}

/// A function as what `tonic` wants.
struct Handler<F>(Option<F>);

type Later<T> = Pin<Box<dyn Future<Output = Result<tonic::Response<T>, Status>> + Send>>;

impl<In, Out, F, Fut> UnaryService<In> for Handler<F>
where
    F: FnOnce(In) -> Fut,
    Fut: Future<Output = Result<Out, Status>> + Send + 'static,
    Out: Send + 'static,
{
    type Response = Out;
    type Future = Later<Out>;

    fn call(&mut self, request: tonic::Request<In>) -> Later<Out> {
        let work = self.0.take().map(|work| work(request.into_inner()));
        Box::pin(async move {
            match work {
                Some(work) => Ok(tonic::Response::new(work.await?)),
                None => Err(Status::internal("called twice")),
            }
        })
    }
}

impl<In, Out, F, Fut> ServerStreamingService<In> for Handler<F>
where
    F: FnOnce(In) -> Fut,
    Fut: Future<Output = Result<Answers<Out>, Status>> + Send + 'static,
    Out: Send + 'static,
{
    type Response = Out;
    type ResponseStream = Answers<Out>;
    type Future = Later<Answers<Out>>;

    fn call(&mut self, request: tonic::Request<In>) -> Later<Answers<Out>> {
        UnaryService::call(self, request)
    }
}

/// Answers one message with one.
pub(super) async fn unary<In, Out, F, Fut>(body: Bytes, work: F) -> Response
where
    In: Message + Default + Send + 'static,
    Out: Message + Send + 'static,
    F: FnOnce(In) -> Fut,
    Fut: Future<Output = Result<Out, Status>> + Send + 'static,
{
    let mut grpc = Grpc::new(Protobuf::<Out, In>::default());
    let request = axum::http::Request::new(Body::from(body));
    let answer = grpc.unary(Handler(Some(work)), request).await;
    answer.map(Body::new)
}

/// Answers one message with many.
pub(super) async fn streamed<In, Out, F, Fut>(body: Bytes, work: F) -> Response
where
    In: Message + Default + Send + 'static,
    Out: Message + Send + 'static,
    F: FnOnce(In) -> Fut,
    Fut: Future<Output = Result<Answers<Out>, Status>> + Send + 'static,
{
    let mut grpc = Grpc::new(Protobuf::<Out, In>::default());
    let request = axum::http::Request::new(Body::from(body));
    let answer = grpc.server_streaming(Handler(Some(work)), request).await;
    answer.map(Body::new)
}

/// One message, without a call.
fn message<Out: Message + Send + 'static>(out: Out) -> Response {
    let empty = Bytes::from_static(&[0; 5]);
    unary::<(), Out, _, _>(empty, |()| std::future::ready(Ok(out)))
        .now_or_never()
        .unwrap_or_else(|| refused(Status::internal("not ready")))
}

/// The fault `errno`: a number is a gRPC status (`14` or `14,text`), a text is the failure that
/// the call itself has room for, or UNKNOWN where it has none.
fn injected(shape: Shape, arg: &str) -> Response {
    let (number, text) = arg.split_once(',').unwrap_or((arg, "injected fault"));
    if let Ok(code) = number.trim().parse::<i32>() {
        return refused(Status::new(code.into(), text.trim()));
    }
    match shape {
        Shape::Operation => message(FileOperationResult::failed(arg)),
        Shape::Folder => message(CreateFolderResult {
            folder_created: None,
            result: Some(FileOperationResult::failed(arg)),
        }),
        Shape::Jwt => message(JwtToken {
            error_message: arg.to_owned(),
            ..JwtToken::default()
        }),
        Shape::ReadReply => message(RemoteReadDataReply {
            error_message: arg.to_owned(),
            ..RemoteReadDataReply::default()
        }),
        Shape::Plain => refused(Status::unknown(arg)),
    }
}

impl CloudDrive2 {
    async fn rpc(self: Arc<Self>, name: &str, request: Request) -> Response {
        if let Some(refusal) = transport(&request) {
            return refusal;
        }
        let (parts, body) = request.into_parts();
        let Some(method) = find(name) else {
            drain(body).await;
            return refused(Status::unimplemented(format!("no method {name}")));
        };
        let conn = parts.extensions.get::<ConnectInfo<Conn>>();
        let conn = conn.map(|ConnectInfo(conn)| conn.clone());
        let (account, body) = if method.free {
            let Some(bytes) = collect(body, BodyFaults::default()).await else {
                return dropped();
            };
            (self.account_of_free(name, &bytes), Body::from(bytes))
        } else {
            match self.account_of(&parts.headers) {
                Ok(account) => (Some(account), body),
                Err(status) => {
                    drain(body).await;
                    return refused(status);
                }
            }
        };
        let Some(account) = account else {
            return refused(Status::unavailable("no account"));
        };
        let unread = Unread::new(body);
        let work = async {
            let access = match method.free {
                true => Access::nobody(),
                false => match self.check(&account, method, &parts.headers) {
                    Ok(access) => access,
                    Err(status) => return refused(status),
                },
            };
            let none = BodyFaults::default();
            // Content is in the request here, elsewhere in the answer. A channel has its own
            // way to be cut.
            let inside = method.op == "read_data";
            let endless = matches!(method.op, "channel" | "push");
            let cut = match inside || endless {
                true => None,
                false => account
                    .faults
                    .take_number(method.op, FaultKind::Cut, u64::MAX),
            };
            let (before, after) = match (inside, endless) {
                (true, _) => (BodyFaults::take(&account, method.op), none),
                (_, true) => (none, none),
                _ => (none, BodyFaults::take(&account, method.op)),
            };
            let Some(bytes) = collect(unread.take(), before).await else {
                return dropped();
            };
            let call = Call {
                sim: self.clone(),
                account: account.clone(),
                op: method.op,
                access,
                conn,
            };
            let response = call.dispatch(name, bytes).await;
            match endless {
                true => response,
                false => shaped(response, after, cut).await,
            }
        };
        let errno = |arg: &str| injected(method.shape, arg);
        let response = account.serve_transfer(method.op, errno, work).await;
        unread.drain().await;
        response
    }

    /// Whose meters and faults a call without token gets: the user's who logs in, the token's
    /// that is looked up, else the first account's.
    fn account_of_free(&self, name: &str, body: &Bytes) -> Option<Arc<Account>> {
        let message = body.get(5..).unwrap_or_default();
        let named = match name {
            "GetToken" => GetTokenRequest::decode(message)
                .ok()
                .and_then(|request| self.user(&request.user_name)),
            "GetApiTokenInfo" => super::messages::StringValue::decode(message)
                .ok()
                .and_then(|request| self.owner(&request.value)),
            _ => None,
        };
        named.or_else(|| self.kit.accounts.first().cloned())
    }
}
