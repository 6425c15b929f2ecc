//! The connection: one HTTP/2 connection for every call of a drive (sheet section 3), with the
//! account's budget and breaker before each call and a deadline around it.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use prost::Message;
use tokio::time::{Instant, timeout};
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};

use super::codec::Proto;
use super::error::{Repeat, lost, of_status};
use super::http::Checked;
use crate::drive::{DriveContext, DriveError, ErrorKind, Result, open_client};
use crate::net::{BreakerState, Client, Permit, Secret, current_priority};

/// The service's part of every path.
const SERVICE: &str = "/clouddrive.CloudDriveFileSrv";

/// Until the connection stands.
const CONNECT: Duration = Duration::from_secs(10);

/// A call, or the next message of a stream.
pub const CALL: Duration = Duration::from_secs(60);

/// Largest answer: an entry has some kilobytes, and a batch of a listing some thousand entries.
const LARGEST: usize = 64 << 20;

/// One kind of call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Label for logs and errors.
    pub op: &'static str,
    /// The method's name.
    pub method: &'static str,
    /// Rate class.
    pub class: &'static str,
    pub repeat: Repeat,
    /// Until the answer, or the head of a stream.
    pub deadline: Duration,
}

impl Call {
    /// A call that only reads, or writes the same state again.
    pub const fn safe(op: &'static str, method: &'static str) -> Call {
        Call {
            op,
            method,
            class: "other",
            repeat: Repeat::Safe,
            deadline: CALL,
        }
    }

    /// A call that is sent again only when it was certainly not carried out.
    pub const fn once(op: &'static str, method: &'static str) -> Call {
        Call {
            repeat: Repeat::Unsafe,
            ..Call::safe(op, method)
        }
    }

    pub const fn class(self, class: &'static str) -> Call {
        Call { class, ..self }
    }

    pub const fn deadline(self, deadline: Duration) -> Call {
        Call { deadline, ..self }
    }
}

/// The server as this drive reaches it.
pub struct Wire {
    /// Reads files by HTTP. It has the account's budget and breaker, which calls use, too.
    pub client: Client,
    /// `http` or `https`.
    pub scheme: String,
    /// Host and port.
    pub authority: String,
    endpoint: Endpoint,
    /// Made at the first call: it needs the runtime.
    channel: OnceLock<Channel>,
}

impl Wire {
    /// # Errors
    /// `Invalid` for an address that is none, or that would send secrets in the clear.
    pub fn new(context: &DriveContext) -> Result<Wire> {
        let address = context.endpoint("grpc")?;
        let refuse = |what: String| {
            let message = format!("profile {}: {what}", context.profile);
            DriveError::new(ErrorKind::Invalid, message)
        };
        let url = reqwest::Url::parse(address)
            .ok()
            .filter(|url| ["http", "https"].contains(&url.scheme()))
            .ok_or_else(|| refuse(format!("{address:?} is no address of a CloudDrive2")))?;
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| refuse(format!("{address:?} names no host")))?;
        if url.scheme() == "http" && !is_loopback(host) {
            return Err(refuse(format!(
                "plain http to {host} would show the token to the network; use https, or a tunnel to 127.0.0.1"
            )));
        }
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let scheme = url.scheme().to_owned();
        let endpoint = Endpoint::from_shared(format!("{scheme}://{authority}"))
            .map_err(|_| refuse(format!("{address:?} is no address")))?
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            // What a client of the service was seen to do (section 3): a dead path is noticed
            // while nothing but the event channel is open.
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true);
        let endpoint = match scheme.as_str() {
            "https" => endpoint
                .tls_config(ClientTlsConfig::new().with_native_roots())
                .map_err(|error| refuse(format!("TLS cannot be set up: {error}")))?,
            _ => endpoint,
        };
        Ok(Wire {
            client: open_client(context, reqwest::header::HeaderMap::new())?,
            scheme,
            authority,
            endpoint,
            channel: OnceLock::new(),
        })
    }

    /// One message there, one back. Not repeated.
    ///
    /// # Errors
    /// What the status means; `Risk` while the account is paused.
    pub async fn unary<Q, A>(&self, call: &Call, token: Option<&Secret>, message: Q) -> Result<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let _permit = self.admit(call).await?;
        let start = Instant::now();
        let request = request(call, token, message, Some(call.deadline))?;
        let path = path(call)?;
        let mut grpc = self.grpc();
        let work = async {
            ready(&mut grpc).await?;
            grpc.unary(request, path, Proto::<Q, A>::new()).await
        };
        let answer = within(call, call.deadline, work).await;
        self.log(call, start, answer.as_ref().err());
        Ok(answer?.into_inner())
    }

    /// Opens a stream of messages. The permit is the right to read it.
    ///
    /// # Errors
    /// As [`Wire::unary`].
    pub async fn stream<Q, A>(
        &self,
        call: &Call,
        token: Option<&Secret>,
        message: Q,
    ) -> Result<(Streaming<A>, Permit)>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let permit = self.admit(call).await?;
        let start = Instant::now();
        // How long a stream lives is its reader's business.
        let request = request(call, token, message, None)?;
        let path = path(call)?;
        let mut grpc = self.grpc();
        let work = async {
            ready(&mut grpc).await?;
            grpc.server_streaming(request, path, Proto::<Q, A>::new())
                .await
        };
        let answer = within(call, call.deadline, work).await;
        self.log(call, start, answer.as_ref().err());
        Ok((answer?.into_inner(), permit))
    }

    /// The place in the account's budget; refused while its breaker is open.
    async fn admit(&self, call: &Call) -> Result<Permit> {
        self.check_breaker(call.op)?;
        let permit = self
            .client
            .budget()
            .acquire(call.class, current_priority())
            .await;
        // It may have opened while we stood in the queue.
        self.check_breaker(call.op)?;
        Ok(permit)
    }

    fn check_breaker(&self, op: &str) -> Result<()> {
        match self.client.breaker().state() {
            BreakerState::Closed => Ok(()),
            BreakerState::Open(record) => Err(DriveError::new(
                ErrorKind::Risk,
                format!("{op}: the account is paused: {}", record.reason),
            )),
        }
    }

    fn grpc(&self) -> Grpc<Checked<Channel>> {
        let channel = self
            .channel
            .get_or_init(|| self.endpoint.connect_lazy())
            .clone();
        Grpc::new(Checked(channel)).max_decoding_message_size(LARGEST)
    }

    fn log(&self, call: &Call, start: Instant, error: Option<&DriveError>) {
        tracing::debug!(
            op = call.op,
            method = call.method,
            host = %self.authority,
            failed = error.is_some(),
            elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            "call"
        );
        if error.is_none() {
            self.client.breaker().heal();
        }
    }
}

/// Waits until the connection takes a call.
async fn ready(grpc: &mut Grpc<Checked<Channel>>) -> Result<(), Status> {
    grpc.ready().await.map_err(Status::from_error)
}

/// Runs a call within its deadline.
async fn within<T>(
    call: &Call,
    deadline: Duration,
    work: impl Future<Output = Result<T, Status>>,
) -> Result<T> {
    match timeout(deadline, work).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(status)) => Err(of_status(call.op, &status, call.repeat)),
        Err(_) => Err(lost(
            ErrorKind::Timeout,
            call.op,
            "no answer in time",
            call.repeat,
        )),
    }
}

/// The next message of a stream; `None` at its end.
///
/// # Errors
/// What the status at its end means; `Timeout` when nothing comes.
pub async fn next<A>(call: &Call, stream: &mut Streaming<A>) -> Result<Option<A>> {
    within(call, CALL, stream.message()).await
}

fn request<Q>(
    call: &Call,
    token: Option<&Secret>,
    message: Q,
    deadline: Option<Duration>,
) -> Result<Request<Q>> {
    let mut request = Request::new(message);
    if let Some(deadline) = deadline {
        // The server hears of it, too (`grpc-timeout`).
        request.set_timeout(deadline);
    }
    if let Some(token) = token {
        let bearer = format!("Bearer {}", token.expose());
        let mut value: MetadataValue<Ascii> = bearer.parse().map_err(|_| {
            DriveError::new(
                ErrorKind::Auth,
                format!("{}: the token has characters that none has", call.op),
            )
        })?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
    }
    Ok(request)
}

/// The path of a method; its type is the one that tonic wants.
fn path<P: std::str::FromStr>(call: &Call) -> Result<P> {
    format!("{SERVICE}/{}", call.method)
        .parse()
        .map_err(|_| DriveError::unsupported(call.method))
}

/// 127.0.0.0/8, ::1 and the name localhost.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_addresses() {
        for host in ["127.0.0.1", "127.9.9.9", "[::1]", "localhost"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["10.0.0.1", "localhost.example", "127.0.0.1.example"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_method_has_its_path() {
        let path: String = path(&Call::safe("list", "GetSubFiles")).unwrap();
        assert_eq!(path, "/clouddrive.CloudDriveFileSrv/GetSubFiles");
    }
}
