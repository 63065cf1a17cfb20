//! A registry that does what a script says, once for each line; a request that no line expects fails the test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What a line answers.
#[derive(Clone, Debug)]
enum Does {
    Reply,
    /// Reads the request whole, then hangs up.
    HangUp,
    /// Hangs up after so many bytes of the request's body.
    HangUpAfter(usize),
    /// Replies after so many bytes of the request's body, and takes no notice of the rest.
    ReplyAfter(usize),
    /// Sends the head and so many bytes of the body, then hangs up.
    CutAfter(usize),
    /// Sends the head and the body's first bytes, then one space after the other for as long as somebody listens.
    Drip,
    /// Never answers.
    Silence,
}

/// One line of a script.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    method: &'static str,
    target: String,
    with: Vec<(&'static str, String)>,
    without: Vec<&'static str>,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    does: Does,
}

/// A line for a request with this method and target; `*` at the end of the target stands for anything.
pub(crate) fn on(method: &'static str, target: impl Into<String>) -> Line {
    let target = target.into();
    let (with, without, headers, body) = (vec![], vec![], vec![], vec![]);
    Line { method, target, with, without, status: 200, headers, body, does: Does::Reply }
}

impl Line {
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.with.push((name, value.into()));
        self
    }
    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.without.push(name);
        self
    }
    pub(crate) fn reply(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
    pub(crate) fn hangs_up(mut self) -> Self {
        self.does = Does::HangUp;
        self
    }
    pub(crate) fn hangs_up_after(mut self, bytes: usize) -> Self {
        self.does = Does::HangUpAfter(bytes);
        self
    }
    pub(crate) fn replies_after(mut self, bytes: usize) -> Self {
        self.does = Does::ReplyAfter(bytes);
        self
    }
    pub(crate) fn cut_after(mut self, bytes: usize) -> Self {
        self.does = Does::CutAfter(bytes);
        self
    }
    pub(crate) fn drips(mut self) -> Self {
        self.does = Does::Drip;
        self
    }
    pub(crate) fn never_answers(mut self) -> Self {
        self.does = Does::Silence;
        self
    }
    /// An error in the registry's own words.
    pub(crate) fn error(self, status: u16, code: &str) -> Self {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"scripted"}}]}}"#);
        self.reply(status).header("Content-Type", "application/json").body(body)
    }

    fn matches(&self, request: &Request) -> bool {
        let target = match self.target.strip_suffix('*') {
            Some(start) => request.target.starts_with(start),
            None => request.target == self.target,
        };
        target
            && self.method == request.method
            && self.with.iter().all(|(name, value)| request.headers.get(*name) == Some(value))
            && self.without.iter().all(|name| !request.headers.contains_key(*name))
    }
}

/// A request that came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub method: String,
    pub target: String,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

#[derive(Default)]
struct State {
    lines: Vec<Line>,
    came: Vec<Request>,
    unexpected: Vec<String>,
}

/// The scripted registry.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) host: String,
    state: Arc<Mutex<State>>,
}

impl Script {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { host, state }
    }

    /// Adds lines. Of several that match, the first is taken.
    pub(crate) fn expect(&self, lines: impl IntoIterator<Item = Line>) {
        self.state.lock().expect("a state").lines.extend(lines);
    }

    /// The requests that came; all lines must have been used and nothing else asked for.
    pub(crate) fn finish(&self) -> Vec<Request> {
        let state = self.state.lock().expect("a state");
        assert!(state.unexpected.is_empty(), "unexpected: {:#?}", state.unexpected);
        assert!(state.lines.is_empty(), "never asked for: {:#?}", state.lines);
        state.came.clone()
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let Some(mut request) = head(&mut read).await else { return };
        let line = {
            let mut state = state.lock().expect("a state");
            let place = state.lines.iter().position(|line| line.matches(&request));
            if place.is_none() {
                let shown = format!("{} {} {:?}", request.method, request.target, request.headers);
                state.unexpected.push(shown);
            }
            place.map(|place| state.lines.remove(place))
        };
        let line = line.unwrap_or_else(|| on("", "").reply(599));
        let length = request.headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0_usize);
        let wanted = match line.does {
            Does::HangUpAfter(limit) | Does::ReplyAfter(limit) => limit.min(length),
            _ => length,
        };
        let mut body = vec![0; wanted];
        let mut filled = 0;
        while filled < wanted {
            match read.read(&mut body[filled..]).await {
                Ok(count) if count > 0 => filled += count,
                // Cut off by the client: what came is kept for the test to look at.
                _ => break,
            }
        }
        body.truncate(filled);
        if request.headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked") {
            body = chunked(&mut read).await.unwrap_or_default();
        }
        request.body = body;
        let is_head = request.method == "HEAD";
        let cut = filled < wanted;
        state.lock().expect("a state").came.push(request);
        if cut || matches!(line.does, Does::HangUp | Does::HangUpAfter(_)) {
            return;
        }
        if let Does::Silence = line.does {
            tokio::time::sleep(Duration::from_secs(30)).await;
            return;
        }
        let mut reply = format!("HTTP/1.1 {} Scripted\r\n", line.status);
        for (name, value) in &line.headers {
            reply.extend([name, ": ", value, "\r\n"]);
        }
        if line.status != 204 && !line.headers.iter().any(|(name, _)| *name == "Content-Length") {
            reply.extend(["Content-Length: ", &line.body.len().to_string(), "\r\n"]);
        }
        reply += "\r\n";
        let mut bytes = reply.into_bytes();
        if !is_head {
            let limit = if let Does::CutAfter(limit) = line.does { limit } else { line.body.len() };
            bytes.extend_from_slice(&line.body[..limit.min(line.body.len())]);
        }
        if write.write_all(&bytes).await.is_err() || matches!(line.does, Does::CutAfter(_)) {
            return;
        }
        while let Does::Drip = line.does {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if write.write_all(b" ").await.is_err() {
                return;
            }
        }
        if let Does::ReplyAfter(_) = line.does {
            // As nginx does: a connection that is closed with bytes unread would take the reply with it.
            let _ =
                tokio::time::timeout(Duration::from_secs(5), tokio::io::copy(&mut read, &mut tokio::io::sink())).await;
            return;
        }
    }
}

/// A body of unknown length (RFC 9112 section 7.1).
async fn chunked(read: &mut BufReader<tokio::net::tcp::OwnedReadHalf>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(read.read_u8().await.ok()?);
        }
        let size = usize::from_str_radix(std::str::from_utf8(&line).ok()?.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        read.read_exact(&mut chunk).await.ok()?;
        body.extend_from_slice(&chunk[..size]);
        if size == 0 {
            return Some(body);
        }
    }
}

async fn head(read: &mut BufReader<tokio::net::tcp::OwnedReadHalf>) -> Option<Request> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(read.read_u8().await.ok()?);
    }
    let text = String::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Some(Request { method, target, headers, body: Vec::new() })
}
