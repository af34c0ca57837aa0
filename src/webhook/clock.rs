//! A connection's clock: how long it may rest between requests, and how long a request's head may take.
//!
//! The HTTP library has a clock for heads, but it also runs while a connection rests, and the API server rests its
//! connections for 90 s. This one knows the difference: bytes begin a head, the service begins and ends an answer.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::limits::Limits;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between requests.
    Resting,
    /// Some of a request's head has come.
    Head,
    /// A request is being answered, within its own deadline.
    Serving,
}

/// A connection's phase, and a number that is different each time a phase begins.
#[derive(Debug, Default)]
pub(super) struct Activity(AtomicU64);

/// The low bits hold the phase.
const PHASE_BITS: u32 = 2;

impl Activity {
    /// The phase begins.
    pub(super) fn enter(&self, phase: Phase) {
        let turn = (self.0.load(Ordering::Acquire) >> PHASE_BITS).wrapping_add(1);
        self.0.store(turn << PHASE_BITS | phase as u64, Ordering::Release);
    }

    /// The phase with its number.
    fn now(&self) -> (Phase, u64) {
        let state = self.0.load(Ordering::Acquire);
        let phase = match state & ((1 << PHASE_BITS) - 1) {
            0 => Phase::Resting,
            1 => Phase::Head,
            _ => Phase::Serving,
        };
        (phase, state)
    }

    /// The phase now.
    pub(super) fn phase(&self) -> Phase {
        self.now().0
    }
}

/// A stream that fails when its connection rests too long, or is too slow with a request's head.
pub(super) struct Timed<S> {
    stream: S,
    activity: Arc<Activity>,
    limits: Limits,
    alarm: Pin<Box<Sleep>>,
    /// The phase that the alarm was set for.
    set_for: Option<u64>,
}

impl<S> Timed<S> {
    /// Times the stream by the activity of its connection.
    pub(super) fn new(stream: S, activity: Arc<Activity>, limits: Limits) -> Self {
        Self { stream, activity, limits, alarm: Box::pin(sleep(limits.idle)), set_for: None }
    }

    /// What it comes to that the stream can't go on now: an error when the current phase has lasted too long.
    fn poll_overdue<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let (phase, number) = self.activity.now();
        let limit = match phase {
            Phase::Resting => self.limits.idle,
            Phase::Head => self.limits.head,
            Phase::Serving => return Poll::Pending,
        };
        if self.set_for != Some(number) {
            self.set_for = Some(number);
            self.alarm.as_mut().reset(Instant::now() + limit);
        }
        ready!(self.alarm.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            if buffer.filled().len() > before && self.activity.phase() == Phase::Resting {
                self.activity.enter(Phase::Head);
            }
            return Poll::Ready(result);
        }
        self.poll_overdue(cx)
    }
}

/// Writing counts too: a client that doesn't read its answers rests.
impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if written.is_pending() { self.poll_overdue(cx) } else { written }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if written.is_pending() { self.poll_overdue(cx) } else { written }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_pending() { self.poll_overdue(cx) } else { flushed }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(cx);
        if closed.is_pending() { self.poll_overdue(cx) } else { closed }
    }
}
