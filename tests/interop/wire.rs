//! A forwarder on loopback between panfuse and a server. What panfuse sends through it is the
//! witness that a copy or a rename moved no payload.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub struct Wire {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Wire {
    /// Forwards a port of its own to `port`.
    pub fn to(port: u16) -> Wire {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let wire = Wire {
            address: listener.local_addr().unwrap(),
            sent: Arc::default(),
            over: Arc::default(),
        };
        let (sent, over) = (wire.sent.clone(), wire.over.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let Ok(client) = client else { continue };
                // A server that is not there any more: the client sees an end.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)) {
                    join(client, server, sent.clone());
                }
            }
        });
        wire
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes that panfuse has sent so far, with all headers.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // So that it looks.
        let _ = TcpStream::connect(self.address);
    }
}

fn join(client: TcpStream, server: TcpStream, sent: Arc<AtomicU64>) {
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let count = move |bytes| {
        sent.fetch_add(bytes, Ordering::SeqCst);
    };
    std::thread::spawn(move || pump(from, to, count));
    std::thread::spawn(move || pump(server, client, |_| ()));
}

fn pump(mut from: TcpStream, mut to: TcpStream, count: impl Fn(u64)) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                count(length as u64);
                if to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
