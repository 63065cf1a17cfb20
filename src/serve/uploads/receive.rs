//! The bytes of a request on their way into a session: one buffer is hashed and written while the next is filled.

use std::sync::Arc;

use tokio::task::{JoinHandle, spawn_blocking};

use super::super::Shared;
use super::super::inbound::Inbound;
use super::super::reply::{Refusal, Stop};
use super::{BUFFER, Content, Turn};

/// Writes a body into a session: what arrived before a failure is held as well.
pub(super) async fn receive(
    shared: &Arc<Shared>,
    turn: Turn,
    body: &mut Inbound,
    expected: Option<u64>,
) -> (Turn, Result<(), Stop>) {
    let before = turn.held;
    let mut pipe = Pipe { shared, state: State::Idle(turn, Vec::new()) };
    let mut buffer = Vec::new();
    let mut received = 0_u64;
    let end = loop {
        match body.chunk().await {
            Ok(Some(bytes)) => {
                received += bytes.len() as u64;
                if expected.is_some_and(|expected| received > expected) {
                    break Err(Refusal::size_differs("the body is longer than content-range announces".into()).into());
                }
                buffer.extend_from_slice(&bytes);
                if buffer.len() >= BUFFER
                    && let Err(stop) = pipe.write(&mut buffer).await
                {
                    break Err(stop);
                }
            }
            Ok(None) if expected.is_some_and(|expected| received < expected) => {
                break Err(Refusal::size_differs("the body is shorter than content-range announces".into()).into());
            }
            Ok(None) => break Ok(()),
            Err(stop) => break Err(stop),
        }
    };
    let flushed = pipe.write(&mut buffer).await;
    let (mut turn, written) = pipe.finish().await;
    let end = end.and(flushed).and(written);
    if let Some(ecr) = &shared.ecr {
        let brought = turn.held.saturating_sub(before);
        turn.parts.add(brought, end.is_ok(), ecr.settings());
    }
    (turn, end)
}

/// Writes one buffer while the next is filled.
struct Pipe<'a> {
    shared: &'a Arc<Shared>,
    state: State,
}

enum State {
    Idle(Turn, Vec<u8>),
    Busy(JoinHandle<(Turn, Vec<u8>, Result<(), Stop>)>),
    /// Between the two, and after a panic of the writing thread.
    Gone,
}

impl Pipe<'_> {
    async fn idle(&mut self) -> (Turn, Vec<u8>, Result<(), Stop>) {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Idle(turn, spare) => (turn, spare, Ok(())),
            State::Busy(task) => match task.await {
                Ok(done) => done,
                Err(error) => (lost().await, Vec::new(), Err(error.into())),
            },
            State::Gone => {
                (lost().await, Vec::new(), Err(Stop::broken(&std::io::Error::other("an upload's writer is gone"))))
            }
        }
    }

    /// Hands over what is in the buffer and gives back an empty one.
    async fn write(&mut self, buffer: &mut Vec<u8>) -> Result<(), Stop> {
        let (mut turn, mut spare, written) = self.idle().await;
        if buffer.is_empty() || written.is_err() {
            self.state = State::Idle(turn, spare);
            return written;
        }
        std::mem::swap(buffer, &mut spare);
        let shared = self.shared.clone();
        // The turn goes along: should the client hang up now, nobody else writes before this write is done.
        self.state = State::Busy(spawn_blocking(move || {
            let written = turn.write(shared.repositories.layout(), &spare);
            spare.clear();
            (turn, spare, written)
        }));
        Ok(())
    }

    async fn finish(mut self) -> (Turn, Result<(), Stop>) {
        let (turn, _, written) = self.idle().await;
        (turn, written)
    }
}

/// The turn of a session that is over, for when a panic took the real one.
async fn lost() -> Turn {
    let content = Content { over: true, ..Content::default() };
    Arc::new(tokio::sync::Mutex::new(content)).lock_owned().await
}
